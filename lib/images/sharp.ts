// The CommonJS build of sharp, which everything else here requires: import('sharp') would load its other one beside it, of which Node 20.18 warns.
export { default as sharp } from 'sharp';
