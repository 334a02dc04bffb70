// Checkpoints for tests, made byte by byte: pickles by their opcodes, zip archives as torch writes them, and damage to those that are whole.
import { crc32 } from 'node:zlib';

const packed = (...fields: readonly (readonly [value: number, size: 2 | 4])[]): Buffer => {
  const bytes = Buffer.alloc(fields.reduce((sum, [, size]) => sum + size, 0));
  fields.reduce((at, [value, size]) => (size === 2 ? bytes.writeUInt16LE(value, at) : bytes.writeUInt32LE(value, at)), 0);
  return bytes;
};

export interface ZipRecord {
  readonly name: string;
  readonly bytes: Buffer;
  /** Of another record's content, in whose place this one's lies. */
  readonly within?: string;
}

/** An archive of uncompressed records (PKWARE's APPNOTE.TXT, 4.3.7, 4.3.12, 4.3.16). */
export function zipOf(records: readonly ZipRecord[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  const places = new Map<string, number>();
  let length = 0;
  for (const { name, bytes, within } of records) {
    const place = within === undefined ? length : (places.get(within) as number);
    places.set(name, place);
    const sizes = [[crc32(bytes), 4], [bytes.length, 4], [bytes.length, 4], [Buffer.byteLength(name), 2], [0, 2]] as const; // prettier-ignore
    directory.push(packed([0x02014b50, 4], [0, 4], [0, 4], [0, 4], ...sizes, [0, 4], [0, 2], [0, 4], [place, 4]), Buffer.from(name));
    if (within !== undefined) continue;
    const record = [packed([0x04034b50, 4], [0, 4], [0, 2], [0, 4], ...sizes), Buffer.from(name), bytes];
    parts.push(...record);
    length += record.reduce((sum, part) => sum + part.length, 0);
  }
  const entries = Buffer.concat(directory);
  const end = packed([0x06054b50, 4], [0, 4], [records.length, 2], [records.length, 2], [entries.length, 4], [length, 4], [0, 2]);
  return Buffer.concat([...parts, entries, end]);
}

/** A checkpoint around the opcodes that make its object. */
export const checkpointOf = (object: Buffer, storages: readonly ZipRecord[] = []): Buffer =>
  zipOf([{ name: 'a/data.pkl', bytes: Buffer.concat([Buffer.from([0x80, 2]), object, Buffer.from('.')]) }, ...storages]);

export const unicode = (text: string | Buffer): Buffer => {
  const bytes = Buffer.from(text as string);
  return Buffer.concat([Buffer.from('X'), packed([bytes.length, 4]), bytes]);
};

const integer = (value: number): Buffer => Buffer.concat([Buffer.from('J'), packed([value, 4])]);

/** A tensor of `length` floats over the storage `key`, in as many dimensions, all but the first of size 1. */
export const tensor = (length = 1, key = '0', dimensions = 1): Buffer =>
  Buffer.concat([
    Buffer.from('ctorch._utils\n_rebuild_tensor_v2\n(('),
    unicode('storage'),
    Buffer.from('ctorch\nFloatStorage\n'),
    unicode(key),
    unicode('cpu'),
    integer(length),
    Buffer.from('tQK\0('),
    integer(length),
    Buffer.from(`${'K\x01'.repeat(dimensions - 1)}t(${'K\x01'.repeat(dimensions)}t`), // sizes, strides
    Buffer.from([0x89, 0x4e]), // False, None
    Buffer.from('tR'),
  ]);

/** A dictionary of what makes each value, by key. */
export const dictionary = (entries: readonly (readonly [key: string, value: Buffer])[]): Buffer =>
  Buffer.concat([Buffer.from('}('), ...entries.flatMap(([key, value]) => [unicode(key), value]), Buffer.from('u')]);

/** The storage that `tensor()` views. */
export const storage = (length = 1, name = '0'): ZipRecord => ({ name: `a/data/${name}`, bytes: Buffer.alloc(4 * length) });

/** Where each record of an archive has its content, and where the directory has its checksum. */
export function recordsOf(file: Buffer): { name: string; first: number; size: number; checksumAt: number }[] {
  const end = file.lastIndexOf(packed([0x06054b50, 4]));
  const records = [];
  for (let at = file.readUInt32LE(end + 16); file.readUInt32LE(at) === 0x02014b50;) {
    const nameLength = file.readUInt16LE(at + 28);
    const local = file.readUInt32LE(at + 42);
    records.push({
      name: file.toString('utf8', at + 46, at + 46 + nameLength),
      first: local + 30 + file.readUInt16LE(local + 26) + file.readUInt16LE(local + 28),
      size: file.readUInt32LE(at + 24),
      checksumAt: at + 16,
    });
    at += 46 + nameLength + file.readUInt16LE(at + 30) + file.readUInt16LE(at + 32);
  }
  return records;
}

/** Writes anew the checksum of the record that holds the byte at `place`. */
export function mendChecksum(file: Buffer, place: number): void {
  for (const { first, size, checksumAt } of recordsOf(file)) {
    if (place >= first && place < first + size) file.writeUInt32LE(crc32(file.subarray(first, first + size)), checksumAt);
  }
}
