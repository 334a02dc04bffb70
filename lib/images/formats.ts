// The formats that pictures may have, known by their first bytes. Nothing else reaches libvips, which would also read vector graphics, documents and
// its own formats.

/** What a name ends in. */
export const isPictureName = (name: string): boolean => /\.(jpe?g|png|webp|tiff?|gif|avif)$/i.test(name);

/** JPEG, PNG, GIF, WebP, TIFF and BigTIFF. */
// eslint-disable-next-line no-control-regex -- the end of text in PNG's
const starts = /^(\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF[^]{4}WEBP|II[*+]\0|MM\0[*+])/;
/** AVIF: the box that begins it names its brands, of which one is AVIF's; other pictures in such boxes (HEIC) have others. */
// eslint-disable-next-line no-control-regex -- the length of the box
const avifBox = /^\0\0[\0-\x08][^]ftyp/;

function isAvif(bytes: Buffer): boolean {
  if (!avifBox.test(bytes.toString('latin1', 0, 8))) return false;
  const brands = bytes.toString('latin1', 8, Math.min(bytes.length, bytes.readUInt32BE(0)));
  return /^(?:[^]{4})*?avi[fs]/.test(brands);
}

/** @param bytes of the beginning: 2 KiB are enough. */
export function isPicture(bytes: Uint8Array): boolean {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return starts.test(head.toString('latin1', 0, 16)) || isAvif(head);
}
