// A folder for each test of a suite, or one for all of them, deleted afterwards; and what several suites put into one.
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { orSkip, Unavailable } from '../environment.js';

/** `use` is told of the folder; what it promises is waited for. */
type Use = (folder: string) => unknown;

function inAFolder(begin: Mocha.HookFunction, end: Mocha.HookFunction, name: string, use: Use): void {
  let folder = '';
  begin(() => {
    folder = mkdtempSync(join(tmpdir(), `cornernet-${name}-`));
    return use(folder);
  });
  end(() => {
    rmSync(folder, { recursive: true, force: true });
  });
}

/** To be called where a suite is described: before each test, a folder for that one. */
export function eachInAFolder(name: string, use: Use): void {
  inAFolder(beforeEach, afterEach, name, use);
}

/** To be called where a suite is described: before its tests, a folder for all of them. */
export function allInAFolder(name: string, use: Use): void {
  inAFolder(before, after, name, use);
}

/** A self-signed certificate and its key; skips the test where openssl is missing, which makes them. */
export async function makeCertificate(
  context: Mocha.Context,
  folder: string,
  commonName: string,
  alternativeName: string,
): Promise<{ readonly key: string; readonly certificate: string }> {
  await orSkip(context, () =>
    spawnSync('openssl', ['version']).error
      ? Promise.reject(new Unavailable('openssl is not installed, which makes the certificate'))
      : Promise.resolve(),
  );
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${commonName}`],
    ...['-addext', `subjectAltName=${alternativeName}`, '-keyout', key, '-out', certificate],
  ]);
  assert.equal(made.status, 0, made.stderr.toString());
  return { key, certificate };
}
