// A folder for each test of a suite, deleted after it; and what several suites put into one.
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { orSkip, Unavailable } from '../environment.js';

/** To be called where a suite is described; `use` is told before each test. */
export function eachInAFolder(name: string, use: (folder: string) => void): void {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), `cornernet-${name}-`));
    use(folder);
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });
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
