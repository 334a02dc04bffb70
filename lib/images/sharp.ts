// sharp's CommonJS build, which everything else here requires: import('sharp') would load its other one beside that, of which Node 20.18 warns.
export { default as sharp } from 'sharp';
