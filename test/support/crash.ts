// A file system in memory that knows what of it is on the disk, fed with what a process did to its files.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';

import type { FileOperation } from './faults.js';

/**
 * - 'kill': the process alone ends, the system keeps everything.
 * - 'unsynced-lost': the power fails; what wasn't synced never was, names and contents.
 * - 'names-kept': the power fails; names are as they were last, contents as they were synced.
 * - 'torn': the power fails; half of what was appended since the last sync is there, the other half are zeros.
 */
export type Cut = 'kill' | 'unsynced-lost' | 'names-kept' | 'torn';

interface FileNode {
  bytes: Buffer;
  synced: Buffer;
}

interface FolderNode {
  readonly names: Map<string, FileNode | FolderNode>;
  synced: Map<string, FileNode | FolderNode>;
}

/** By path; undefined for folders. */
export type Contents = Map<string, Buffer | undefined>;

const isFolder = (node: FileNode | FolderNode): node is FolderNode => 'names' in node;

function contentOf({ bytes, synced }: FileNode, cut: Cut): Buffer {
  if (cut === 'kill') return bytes;
  if (cut !== 'torn' || !bytes.subarray(0, synced.length).equals(synced)) return synced;
  return Buffer.concat([bytes.subarray(0, (synced.length + bytes.length) >> 1)], bytes.length);
}

export class FileSystemModel {
  readonly #base: string;
  readonly #root: FolderNode = { names: new Map(), synced: new Map() };

  /** @param base a folder that is there and on the disk; operations elsewhere are none of its. */
  constructor(base: string) {
    this.#base = base;
  }

  apply({ call, path, to, offset, bytes }: FileOperation): void {
    const [folder, name] = this.#find(path);
    const node = folder?.names.get(name);
    if (!folder || path.endsWith(' (deleted)')) return;
    if (call === 'create') folder.names.set(name, { bytes: Buffer.alloc(0), synced: Buffer.alloc(0) });
    else if (call === 'mkdir') folder.names.set(name, { names: new Map(), synced: new Map() });
    else if (call === 'unlink' || call === 'rmdir') folder.names.delete(name);
    else if (call === 'rename' || call === 'link') this.#rename(folder, name, to, call === 'rename');
    else if (call === 'fsync' && path === this.#base) this.#root.synced = new Map(this.#root.names);
    else if (!node) throw new Error(`${call} of ${path}, which was never made`);
    else if (isFolder(node)) node.synced = new Map(node.names);
    else if (call === 'fsync') node.synced = node.bytes;
    else if (call === 'truncate') node.bytes = Buffer.concat([node.bytes], offset);
    else node.bytes = Buffer.concat([Buffer.concat([node.bytes], offset), bytes, node.bytes.subarray(offset + bytes.length)]);
  }

  after(cut: Cut): Contents {
    const contents: Contents = new Map();
    const visit = (folder: FolderNode, at: string): void => {
      for (const [name, node] of cut === 'unsynced-lost' ? folder.synced : folder.names) {
        const path = join(at, name);
        contents.set(path, isFolder(node) ? undefined : contentOf(node, cut));
        if (isFolder(node)) visit(node, path);
      }
    };
    visit(this.#root, '');
    return contents;
  }

  #rename(folder: FolderNode, name: string, to: string, move: boolean): void {
    const node = folder.names.get(name);
    const [target, newName] = this.#find(to);
    if (!node || !target) throw new Error(`${name} to ${to}: not known`);
    target.names.set(newName, node);
    if (move) folder.names.delete(name);
  }

  #find(path: string): [FolderNode | undefined, string] {
    const parts = relative(this.#base, path).split(sep);
    const name = parts.pop() ?? '';
    let folder: FileNode | FolderNode | undefined = this.#root;
    for (const part of parts) folder = folder && isFolder(folder) ? folder.names.get(part) : undefined;
    return [folder && isFolder(folder) ? folder : undefined, name];
  }
}

export function writeContents(contents: Contents, folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const [path, bytes] of contents) {
    mkdirSync(bytes ? dirname(join(folder, path)) : join(folder, path), { recursive: true });
    if (bytes) writeFileSync(join(folder, path), bytes);
  }
}
