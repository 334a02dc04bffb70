// A page in a real browser, with everything that it asks for and complains of.
import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

import { chromium, type Locator, type Page } from 'playwright-core';

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

/**
 * Opens a page of lib/report offline and hands it to `look`; skips without a browser. It must ask for nothing, fail in nothing, and be tidy in
 * a wide window and a narrow one.
 */
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
    for (const width of [700, 1400]) {
      for (const sentence of await untidiness(page, width)) trouble.push(`${sentence} (in a window of ${width} px)`);
    }
    await look(page);
    if (trouble.length > 0)
      throw new Error(`${trouble.length} times the page is not self-contained, fails or is untidy: ${trouble.slice(0, 5).join('; ')}`);
  } finally {
    await browser.close();
  }
}

interface Box {
  readonly text: string;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** What Playwright hands to functions that run in the page, where this project's types don't reach. */
type InPage = Omit<Box, 'text'> & {
  readonly textContent: string;
  readonly scrollWidth: number;
  readonly clientWidth: number;
  getBoundingClientRect(): InPage;
};

function boxesOf(locator: Locator): Promise<Box[]> {
  return locator.evaluateAll((elements) =>
    (elements as unknown as InPage[]).map((element) => {
      const { left, right, top, bottom } = element.getBoundingClientRect();
      return { text: element.textContent, left, right, top, bottom };
    }),
  );
}

/** How much wider than their places the contents are. */
function excessOf(locator: Locator): Promise<number[]> {
  return locator.evaluateAll((elements) =>
    (elements as unknown as InPage[]).map(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth),
  );
}

const slackPx = 0.5;

function meet(a: Box, b: Box): boolean {
  const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  return across > slackPx && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > slackPx;
}

function reachesOut(inner: Box, outer: Box): boolean {
  return Math.max(outer.left - inner.left, inner.right - outer.right, outer.top - inner.top, inner.bottom - outer.bottom) > slackPx;
}

/** Whatever isn't where it should be in a window of this width, a sentence each: words over words, things outside their plot or too large. */
async function untidiness(page: Page, width: number): Promise<string[]> {
  await page.setViewportSize({ width, height: 900 });
  const troubles: string[] = [];
  const excess = [...(await excessOf(page.locator('html'))), ...(width >= 1400 ? await excessOf(page.locator('.scroll')) : [])];
  if (excess.some((px) => px > 0)) troubles.push(`too wide for the window by ${excess.join(', ')}`);
  for (const figure of await page
    .locator('figure')
    .filter({ has: page.locator('.plot') })
    .all()) {
    const [words, parts] = [await boxesOf(figure.locator('.key li, .plot text')), await boxesOf(figure.locator('.plot *:not(title)'))];
    const [plot] = (await boxesOf(figure.locator('.plot'))) as [Box];
    words.forEach((one, i) => {
      for (const other of words.slice(i + 1)) if (meet(one, other)) troubles.push(`'${one.text}' and '${other.text}' are in one place`);
    });
    for (const part of parts) if (reachesOut(part, plot)) troubles.push(`'${part.text}' is outside its plot`);
  }
  for (const { text, top, bottom } of await boxesOf(page.locator('.sheet img'))) {
    if (bottom - top > 320 || bottom - top < 20) troubles.push(`a thumbnail is ${bottom - top} tall: ${text}`);
  }
  return troubles;
}
