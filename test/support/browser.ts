// A page in a real browser, with everything that it asks for and complains of.
import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

import { chromium, type Page } from 'playwright-core';

import { Unavailable, orSkip } from '../environment.js';

const executables = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

const flags = [
  '--no-sandbox', // CI runs as root
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Opens a file offline and hands it to `look`; skips without a browser. What the page asked for and its errors must be none. */
export async function openInBrowser(context: Mocha.Context, file: string, look: (page: Page) => Promise<void>): Promise<void> {
  const executablePath = await orSkip(context, () => {
    const found = [process.env['CORNERNET_CHROMIUM'] ?? '', ...executables].find((path) => existsSync(path));
    return found === undefined
      ? Promise.reject(new Unavailable('Chromium is not installed (Debian: apt install chromium)'))
      : Promise.resolve(found);
  });
  const browser = await chromium.launch({ executablePath, args: flags });
  try {
    const page = await browser.newPage();
    const trouble: string[] = [];
    page.on('pageerror', (error) => trouble.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') trouble.push(message.text());
    });
    page.on('request', (request) => {
      if (!/^(file|data):/.test(request.url())) trouble.push(`asked for ${request.url()}`);
    });
    await page.goto(pathToFileURL(file).href);
    await look(page);
    if (trouble.length > 0) throw new Error(`the page is not self-contained or fails: ${trouble.join('; ')}`);
  } finally {
    await browser.close();
  }
}
