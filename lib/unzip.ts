// Unpacks zip archives of any size: what the set-up fetches (setup/fetch.js).
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';

import { openPromise, type Entry } from 'yauzl';

/** Lets bytes through and fails at their end when they don't have the checksum. */
function checked({ fileName, crc32: expected }: Entry): Transform {
  let sum = 0;
  return new Transform({
    transform(chunk: Buffer, _, done) {
      sum = crc32(chunk, sum);
      done(null, chunk);
    },
    flush: (done) => done(sum === expected ? null : new Error(`${fileName} is damaged: its checksum differs`)),
  });
}

/** The archive's files whose names `wanted` takes, below `folder`. Rejects when the archive or one of these files is damaged. */
export async function unzip(archive: string, folder: string, wanted: (name: string) => boolean): Promise<void> {
  const zip = await openPromise(archive, { autoClose: false });
  try {
    for await (const entry of zip.eachEntry()) {
      if (entry.fileName.endsWith('/') || !wanted(entry.fileName)) continue;
      const path = join(folder, entry.fileName);
      await mkdir(dirname(path), { recursive: true, mode: 0o755 });
      await pipeline(await zip.openReadStreamPromise(entry), checked(entry), createWriteStream(path, { flags: 'wx', mode: 0o644 }));
    }
  } finally {
    zip.close();
  }
}
