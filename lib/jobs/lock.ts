// One process at a time works on a job folder.
import { readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';

import { z } from 'zod';

import { CornerNetError } from '../errors.js';
import { makeFolder, unwritable } from '../output-file.js';
import { parseLine } from './lines.js';

/** How often the owner shows other machines that it lives, and after how long they take it for dead. */
const beatMs = 10_000;
const deadMs = 60_000;

export interface FolderLock {
  release(): Promise<void>;
}

const ownerSchema = z.object({ host: z.string(), pid: z.int() });

function refused(folder: string, owner: string): CornerNetError {
  return new CornerNetError('ERR_LOCKED', `the job in ${folder} is being worked on by ${owner}`);
}

/** An abstract socket's name is the system's: it goes with its process, however that ends, so none is ever left behind. */
function listenOn(name: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((connection) => connection.destroy());
    server.once('error', reject);
    server.listen({ path: name }, () => {
      server.unref();
      resolve(server);
    });
  });
}

async function readOwner(file: string): Promise<{ host: string; pid: number; changed: number } | undefined> {
  try {
    const owner = ownerSchema.safeParse(parseLine(await readFile(file, 'utf8')));
    return owner.success ? { ...owner.data, changed: (await stat(file)).mtimeMs } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Makes the folder when it isn't there.
 * @throws {CornerNetError} `ERR_LOCKED` when another process has it, on this machine or on another that shares the folder; `ERR_WRITE` when
 * it can't be made or written to.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const file = join(folder, 'lock.json');
  const aside = `${file}.${process.pid}.part`;
  try {
    await makeFolder(folder);
  } catch (error) {
    throw unwritable(folder, error);
  }
  const { dev, ino } = await stat(folder, { bigint: true });
  let server: Server;
  try {
    server = await listenOn(`\0cornernet-job-${dev}-${ino}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    const owner = await readOwner(file);
    throw refused(folder, owner ? `process ${owner.pid} on this machine` : 'another process on this machine');
  }
  try {
    await writeFile(aside, `${JSON.stringify({ host: hostname(), pid: process.pid })}\n`);
    const owner = await readOwner(file);
    // Both times are the file system's own, so that clocks that differ do no harm.
    if (owner && owner.host !== hostname() && (await stat(aside)).mtimeMs - owner.changed < deadMs) {
      throw refused(folder, `process ${owner.pid} on ${owner.host}`);
    }
    await rename(aside, file);
  } catch (error) {
    server.close();
    await rm(aside, { force: true }).catch(() => undefined);
    if (error instanceof CornerNetError) throw error;
    throw unwritable(file, error);
  }
  const beat = setInterval(() => {
    const now = new Date();
    void utimes(file, now, now).catch(() => undefined); // a folder out of reach shows where records are written
  }, beatMs);
  beat.unref();
  return {
    release: async () => {
      clearInterval(beat);
      await rm(file, { force: true }).catch(() => undefined);
      server.close();
    },
  };
}
