// Paths as text. Names that are no UTF-8 are kept too: each stray byte is a lone surrogate, U+DC80 to U+DCFF, as in Python's surrogateescape; in JSON
// that is \udc80 to \udcff, so that what is written of a picture leads back to its file.
import { isUtf8 } from 'node:buffer';
import { realpath } from 'node:fs/promises';
import { isAbsolute, relative, sep } from 'node:path';

/** UTF-8's sequences as latin1 shows them, or (in the group) a byte that is in none. */
const sequences =
  // eslint-disable-next-line no-control-regex -- every ASCII character
  /[\x00-\x7f]+|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|([\x80-\xff])/g;

/** What a file system or a list has, as text. Yarn's file functions give text whatever they are asked for. */
export function textOfName(bytes: Buffer | string): string {
  if (typeof bytes === 'string') return bytes;
  if (isUtf8(bytes)) return bytes.toString();
  return bytes
    .toString('latin1')
    .replace(sequences, (some: string, stray?: string) =>
      stray === undefined ? Buffer.from(some, 'latin1').toString() : String.fromCharCode(0xdc00 + stray.charCodeAt(0)),
    );
}

/** What Node's file functions take for a path: its bytes where text would not do. */
export function onDisk(path: string): string | Buffer {
  const parts = path.split(/([\udc80-\udcff])/u);
  if (parts.length === 1) return path;
  return Buffer.concat(parts.map((part, i) => (i % 2 === 1 ? Buffer.of(part.charCodeAt(0) & 0xff) : Buffer.from(part))));
}

/** As `realpath`. */
export async function realPath(path: string): Promise<string> {
  return textOfName(await realpath(onDisk(path), { encoding: 'buffer' }));
}

/** Whether a path is below a folder, both absolute or both relative to one. */
export function isBelow(folder: string, path: string): boolean {
  const from = relative(folder, path);
  return from !== '' && from !== '..' && !from.startsWith(`..${sep}`) && !isAbsolute(from);
}
