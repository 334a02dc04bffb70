// Pictures in every form and of every kind become the pixels that the reference's decoder gives.
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { openAsBlob, createReadStream, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import { mock } from 'node:test';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';

import sharp from 'sharp';

import type { CornerNetError } from '../../lib/errors.js';
import { isAtWork, isBlocked } from '../../lib/images/deadline.js';
import { decodeImage } from '../../lib/images/image.js';
import type { ImageSource } from '../../lib/images/source.js';
import { until } from '../support/batch.js';
import { refusal } from '../support/refusal.js';
import { allInAFolder } from '../support/scratch.js';

const many = 50_000_000;

/** A 3x2 picture whose pixels are all different. */
const pixels = Uint8Array.from([255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30, 200, 100, 50, 7, 8, 9]);
const raw = { width: 3, height: 2, channels: 3 } as const;
const png = (): Promise<Buffer> => sharp(pixels, { raw }).png().toBuffer();

async function decoded(source: ImageSource): Promise<number[]> {
  return [...(await decodeImage(source, many)).data];
}

function refused(source: ImageSource, maxPixels = many): Promise<CornerNetError> {
  return refusal(decodeImage(source, maxPixels));
}

describe('images', () => {
  let folder: string;
  allInAFolder('image', (made) => (folder = made));

  it('come from a path, a URL object, a Buffer, a Uint8Array, a sharp instance, or pixels', async () => {
    const path = join(folder, 'a picture.png');
    const encoded = await png();
    writeFileSync(path, encoded);
    const sources: ImageSource[] = [path, pathToFileURL(path), encoded, new Uint8Array(encoded), sharp(encoded), { ...raw, data: pixels }];
    for (const source of sources) assert.deepEqual(await decoded(source), [...pixels]);
    assert.deepEqual(await decoded(sharp(encoded).extract({ left: 1, top: 0, width: 1, height: 1 })), [0, 255, 0]);
  });

  it('come from an ArrayBuffer, a Blob or File, web and Node streams, ImageData, and file: URLs as strings', async () => {
    const path = join(folder, 'an#other picture.png');
    const encoded = await png();
    writeFileSync(path, encoded);
    const bytes = new Uint8Array(encoded);
    const sources: ImageSource[] = [
      bytes.buffer,
      new Blob([bytes]),
      await openAsBlob(path),
      new Blob([bytes]).stream(),
      new Response(bytes).body as ReadableStream<Uint8Array>,
      createReadStream(path, { highWaterMark: 10 }),
      Readable.from([encoded.subarray(0, 20), encoded.subarray(20)]),
      pathToFileURL(path).href,
      { data: new Uint8ClampedArray([...pixels].flatMap((level, i) => (i % 3 === 2 ? [level, 77] : [level]))), width: 3, height: 2 },
    ];
    for (const source of sources) assert.deepEqual(await decoded(source), [...pixels]);
    const file = new File([bytes], 'of a form.png');
    assert.equal((await decodeImage(file, many)).name, 'of a form.png');
    assert.equal((await decodeImage(pathToFileURL(path).href, many)).name, pathToFileURL(path).href);
    assert.equal((await decodeImage(new Blob([bytes]), many)).name, null);
  });

  it('streams can not fill the memory, and end when nobody waits', async () => {
    let given = 0;
    let cancelled: unknown;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        given++;
        controller.enqueue(new Uint8Array(1 << 16));
      },
      cancel: (reason: unknown) => void (cancelled = reason),
    });
    const error = await refused(endless, 1000);
    assert.equal(error.code, 'ERR_TOO_LARGE');
    assert.match(error.message, /more than 1056576 bytes, which no picture has that maxPixels allows/);
    assert.ok(given < 25 && cancelled !== undefined);
    assert.equal((await refused(new Blob([new Uint8Array(2e6)]), 1000)).code, 'ERR_TOO_LARGE');

    const aborter = new AbortController();
    const silent = new Readable({ read: () => undefined });
    const waiting = decodeImage(silent, many, { signal: aborter.signal });
    setImmediate(() => {
      aborter.abort();
    });
    await assert.rejects(waiting, { code: 'ERR_INPUT' });
    assert.ok(silent.destroyed);
  });

  it('are scaled where that is asked for: encoded, turned, with alpha, raw, or another pipeline', async () => {
    const large = sharp({ create: { width: 400, height: 300, channels: 3, background: '#4080c0' } });
    const jpeg = await large.clone().jpeg({ quality: 95 }).withMetadata({ orientation: 6 }).toBuffer();
    const clear = await large.clone().ensureAlpha(0).png().toBuffer();
    const plain = { data: await large.clone().raw().toBuffer(), width: 400, height: 300, channels: 3 } as const;
    for (const [source, original, size] of [
      [jpeg, [300, 400], [75, 100]],
      [clear, [400, 300], [100, 75]],
      [plain, [400, 300], [100, 75]],
      [sharp(jpeg).resize(200, 150), [200, 150], [100, 75]],
    ] as [ImageSource, number[], number[]][]) {
      const picture = await decodeImage(source, many, { maxSide: 100 });
      assert.deepEqual([picture.original.width, picture.original.height], original);
      assert.deepEqual([picture.width, picture.height, picture.data.length], [...size, 3 * 7500]);
      const [red = 0, green = 0, blue = 0] = picture.data.subarray(3 * 3750);
      assert.ok(Math.abs(red - 0x40) < 4 && Math.abs(green - 0x80) < 4 && Math.abs(blue - 0xc0) < 4, `${red}, ${green}, ${blue}`);
    }
    const side = async (scaling: object): Promise<number> => (await decodeImage(plain, many, scaling)).width;
    assert.deepEqual([await side({ scale: 0.5 }), await side({ scale: 2 }), await side({ maxSide: 900 })], [200, 800, 400]);
    assert.deepEqual([await side({ scale: 2, maxSide: 500 }), await side({ scale: 0.25, maxSide: 200 })], [500, 100]);
    await assert.rejects(decodeImage(clear, 200_000, { scale: 2 }), { code: 'ERR_TOO_LARGE', message: /after scaling has 800x600 pixels/ });
  });

  it('grey becomes three channels, alpha is dropped and not blended', async () => {
    assert.deepEqual(await decoded({ data: Uint8Array.of(5, 250), width: 2, height: 1, channels: 1 }), [5, 5, 5, 250, 250, 250]);
    assert.deepEqual(await decoded({ data: Uint8Array.of(1, 2, 3, 0), width: 1, height: 1, channels: 4 }), [1, 2, 3]);
    const grey = await sharp(Uint8Array.of(5, 250), { raw: { width: 2, height: 1, channels: 1 } })
      .png()
      .toBuffer();
    assert.deepEqual(await decoded(grey), [5, 5, 5, 250, 250, 250]);
    const greyAlpha = await sharp(Uint8Array.of(5, 0, 250, 9), { raw: { width: 2, height: 1, channels: 2 } })
      .png()
      .toBuffer();
    assert.deepEqual(await decoded(greyAlpha), [5, 5, 5, 250, 250, 250]);
    const transparent = await sharp(Uint8Array.of(200, 100, 50, 0), { raw: { width: 1, height: 1, channels: 4 } })
      .png()
      .toBuffer();
    assert.deepEqual(await decoded(transparent), [200, 100, 50]);
  });

  it('16 bits keep their upper 8', async () => {
    const levels = Uint16Array.of(0x1234, 0xabcd, 0xffff, 0x00ff, 0x0100, 0x7f80);
    const grey = await sharp(levels, { raw: { width: 6, height: 1, channels: 1 } })
      .toColourspace('grey16')
      .png()
      .toBuffer();
    assert.equal((await sharp(grey).metadata()).depth, 'ushort');
    assert.deepEqual(
      await decoded(grey),
      [...levels].flatMap((level) => Array<number>(3).fill(level >> 8)),
    );
    const colour = await sharp(levels, { raw: { width: 2, height: 1, channels: 3 } })
      .toColourspace('rgb16')
      .png()
      .toBuffer();
    assert.deepEqual(
      await decoded(colour),
      [...levels].map((level) => level >> 8),
    );
  });

  it('every EXIF orientation is turned upright', async () => {
    // How each orientation stores the upright picture: a rotation of it, mirrored first where it says so.
    for (let orientation = 1; orientation <= 8; orientation++) {
      const stored = await sharp(pixels, { raw })
        .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
        .withMetadata({ orientation })
        .toBuffer();
      const picture = await decodeImage(stored, many);
      assert.deepEqual([picture.width, picture.height], orientation >= 5 ? [2, 3] : [3, 2], `orientation ${orientation}`);
      const wanted = await sharp(stored).autoOrient().raw().toBuffer();
      assert.deepEqual([...picture.data], [...wanted]);
    }
    // A hand-made case: orientation 6 shows the stored picture a quarter turn clockwise, so its lower left pixel comes first.
    const column = Uint8Array.of(255, 255, 255, 0, 0, 0);
    const stored = await sharp(column, { raw: { width: 2, height: 1, channels: 3 } })
      .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
      .withMetadata({ orientation: 6 })
      .toBuffer();
    const turned = await decodeImage(stored, many);
    assert.deepEqual([turned.width, turned.height], [1, 2]);
    assert.ok((turned.data[0] ?? 0) > 200 && (turned.data[3] ?? 255) < 50);
  });

  it('embedded colour profiles are ignored', async () => {
    const plain = await png();
    const profiled = await sharp(pixels, { raw }).withIccProfile('p3', { attach: true }).png().toBuffer();
    // withIccProfile converts the pixels; what is stored is what must come out, whatever the profile says of them.
    const stored = await sharp(profiled, { ignoreIcc: true }).raw().toBuffer();
    assert.ok((await sharp(profiled).metadata()).icc);
    assert.deepEqual(await decoded(profiled), [...stored]);
    assert.deepEqual(await decoded(plain), [...pixels]);
  });

  it('CMYK, animations, WebP, TIFF and GIF are read', async () => {
    const cmyk = await sharp({ create: { width: 8, height: 8, channels: 3, background: { r: 200, g: 100, b: 50 } } })
      .toColourspace('cmyk')
      .jpeg({ quality: 100 })
      .toBuffer();
    assert.equal((await sharp(cmyk).metadata()).space, 'cmyk');
    const [r = 0, g = 0, b = 0] = await decoded(cmyk);
    assert.ok(r > 150 && g > 60 && g < 150 && b < 100, `${r}, ${g}, ${b}`);
    const frames = Buffer.concat([Buffer.alloc(12, 250), Buffer.alloc(12, 5)]);
    const animated = await sharp(frames, { raw: { width: 2, height: 4, channels: 3, pageHeight: 2 } })
      .gif()
      .toBuffer();
    assert.equal((await sharp(animated).metadata()).pages, 2);
    const first = await decodeImage(animated, many);
    assert.deepEqual([first.width, first.height], [2, 2]);
    assert.ok(first.data.every((level) => level > 200));
    for (const encoded of [
      await sharp(pixels, { raw }).webp({ lossless: true }).toBuffer(),
      await sharp(pixels, { raw }).tiff({ compression: 'lzw' }).toBuffer(),
    ]) {
      assert.deepEqual(await decoded(encoded), [...pixels]);
    }
  });

  it('one pixel, and one column of 5,000', async () => {
    for (const [width, height] of [
      [1, 1],
      [1, 5000],
    ] as const) {
      const picture = await decodeImage(
        await sharp({ create: { width, height, channels: 3, background: '#102030' } })
          .png()
          .toBuffer(),
        many,
      );
      assert.deepEqual([picture.width, picture.height, picture.data.length], [width, height, 3 * width * height]);
    }
  });

  it('too many pixels are refused by the header alone', async () => {
    const bomb = await sharp({ create: { width: 9000, height: 9000, channels: 3, background: 'black' } })
      .png()
      .toBuffer();
    const error = await refused(bomb);
    assert.equal(error.code, 'ERR_TOO_LARGE');
    assert.match(error.message, /9000x9000 pixels, more than the 50000000 that maxPixels allows/);
    assert.equal((await refused({ ...raw, data: pixels }, 5)).code, 'ERR_TOO_LARGE');
  });

  it('what is no picture is refused with its name', async () => {
    const text = join(folder, 'text.jpg');
    writeFileSync(text, 'no picture');
    const cut = join(folder, 'cut.jpg');
    const noise = await sharp({
      create: { width: 300, height: 300, channels: 3, background: 'red', noise: { type: 'gaussian', mean: 128, sigma: 50 } },
    })
      .jpeg()
      .toBuffer();
    writeFileSync(cut, noise.subarray(0, noise.length / 2));
    for (const [source, sentence] of [
      [text, /text\.jpg can't be read as a picture/],
      [cut, /cut\.jpg can't be read as a picture/],
      [join(folder, 'missing.png'), /missing\.png can't be read as a picture/],
      [folder, /can't be read as a picture/],
      [Buffer.alloc(0), /the picture can't be read/],
      [new URL('https://example.com/a.jpg'), /only file: URLs are read/],
      ['https://example.com/a.jpg', /^https:\/\/example\.com\/a\.jpg: only file: URLs are read; fetch the picture and pass its bytes/],
      ['data:image/png;base64,iVBORw0KGgo', /only file: URLs are read/],
      ['file://elsewhere/a.jpg', /can't be read as a picture/],
      ['', /can't be read as a picture/],
      [Readable.from(['text', 'more text']), /stream must give bytes \(Uint8Array\), not 'text'/],
      [Readable.from([]), /can't be read as a picture/],
      [{} as string, /a picture must be a path.*, not \{\}/],
      [undefined as unknown as string, /a picture must be a path.*, not undefined/],
      [Promise.resolve('a.jpg') as unknown as string, /not a Promise: await it first/],
      [{ ...raw, data: pixels.subarray(1) }, /has 18 bytes, not 17/],
      [{ ...raw, width: 0, data: pixels }, /whole numbers from 1, not 0x2/],
      [{ ...raw, channels: 2 as 3, data: pixels }, /channels must be 1, 3 or 4, not 2/],
      [{ ...raw, data: new Uint16Array(18) as unknown as Uint8Array }, /must be a Uint8Array/],
      [42 as unknown as string, /a picture must be a path.*, not 42/],
      [null as unknown as string, /a picture must be a path/],
    ] as [ImageSource, RegExp][]) {
      const error = await refused(source);
      assert.equal(error.code, 'ERR_INPUT');
      assert.match(error.message, sentence);
    }
    assert.match((await refused(createReadStream(join(folder, 'missing.png')))).message, /the picture can't be read as a picture: ENOENT/);
  });

  it('a broken picture has one line of its own, also beside others', async () => {
    const noise = sharp({
      create: { width: 300, height: 300, channels: 3, background: 'red', noise: { type: 'gaussian', mean: 128, sigma: 50 } },
    });
    const whole = await Promise.all([noise.clone().jpeg().toBuffer(), noise.clone().png().toBuffer()]);
    const cut = Array.from({ length: 200 }, (_, i) => whole[i % 2]?.subarray(0, 9000) ?? '');
    for (const { message } of await Promise.all(cut.map((source) => refused(source)))) assert.doesNotMatch(message, /\n|Unknown error/);
  });

  it('only the documented formats are decoded, known by their bytes: as a file, bytes, a Blob and a stream', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9" fill="red"/></svg>';
    const box = (brands: string): Buffer => Buffer.from(`\0\0\0${String.fromCharCode(8 + brands.length)}ftyp${brands}`, 'latin1');
    const v = join(folder, 'a.v');
    await sharp(pixels, { raw }).toFile(v);
    const strange: Record<string, Buffer> = {
      svg: Buffer.from(svg),
      svgz: gzipSync(svg),
      'svg that begins as AVIF': Buffer.from(`    ftypavif${svg}`),
      'svg that begins as GIF': Buffer.from(`GIF8${svg}`),
      libvips: readFileSync(v),
      ppm: Buffer.from('P6 1 1 255\nabc'),
      pdf: Buffer.from('%PDF-1.4\n'),
      bmp: Buffer.from('BM\x1a\0\0\0\0\0\0\0', 'latin1'),
      heic: box('heic\0\0\0\0mif1heic'),
    };
    for (const [kind, bytes] of Object.entries(strange)) {
      const path = join(folder, `${kind}.jpg`);
      writeFileSync(path, bytes);
      for (const source of [path, bytes, new Blob([new Uint8Array(bytes)]), Readable.from([bytes])] as ImageSource[]) {
        const error = await refused(source);
        assert.equal(error.code, 'ERR_INPUT');
        assert.match(error.message, /can't be read as a picture: it is no JPEG, PNG, WebP, TIFF, GIF or AVIF$/, kind);
      }
    }
    const avif = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#4080c0' } })
      .avif({ lossless: true })
      .toBuffer();
    const bigTiff = await sharp(pixels, { raw }).tiff({ bigtiff: true, compression: 'none' }).toBuffer();
    assert.equal((await decodeImage(avif, many)).width, 64);
    assert.deepEqual(await decoded(bigTiff), [...pixels]);
  });

  it('only regular files are read: a FIFO, a socket, a device and a folder are refused at once', async () => {
    const [fifo, socket, link] = ['fifo.jpg', 'socket.jpg', 'link.jpg'].map((name) => join(folder, name)) as [string, string, string];
    spawnSync('mkfifo', [fifo]);
    symlinkSync(fifo, link);
    const server = createServer().listen(socket);
    await once(server, 'listening');
    for (const [path, what] of [
      [fifo, 'a FIFO'],
      [link, 'a FIFO'],
      [socket, 'a socket'],
      ['/dev/zero', 'a device'],
      [folder, 'a folder'],
    ] as const) {
      const error = await refused(path);
      assert.equal(error.code, 'ERR_INPUT');
      assert.ok(error.message.endsWith(`can't be read as a picture: it is ${what}, not a regular file`), error.message);
    }
    server.close();
  });

  it('a picture that comes too late, or not at all, fails; 0 waits for any time', async () => {
    const silent = new Readable({ read: () => undefined });
    await assert.rejects(decodeImage(silent, many, { timeout: 0.05 }), {
      code: 'ERR_INPUT',
      message: "the picture's stream takes longer than the 0.05 s that timeout allows",
    });
    assert.ok(silent.destroyed);
    // A decoder that is at work is given up as well, and ends by itself.
    const large = await sharp({ create: { width: 7000, height: 7000, channels: 3, background: 'red' } })
      .png({ compressionLevel: 1 })
      .toBuffer();
    await assert.rejects(decodeImage(large, many, { timeout: 0.01 }), { code: 'ERR_INPUT', message: /takes longer than the 0\.01 s/ });
    const encoded = new Uint8Array(await png());
    let give: (bytes: ArrayBuffer) => void = () => undefined;
    const slow = { size: 1, name: 'a.png', arrayBuffer: () => new Promise<ArrayBuffer>((resolve) => (give = resolve)) };
    await assert.rejects(decodeImage(slow, many, { timeout: 0.05 }), { message: /^a\.png takes longer than the 0\.05 s/ });
    assert.ok(isBlocked() && isAtWork());
    const patient = decodeImage(slow, many, { timeout: 0 });
    give(encoded.buffer);
    setTimeout(() => give(encoded.buffer), 100);
    assert.equal((await patient).width, 3);
    while (isAtWork()) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(!isBlocked());
  });

  it('a file that is opened too late is closed', async () => {
    const path = join(folder, 'late.png');
    writeFileSync(path, await png());
    let give: () => void = () => undefined;
    const given = new Promise<void>((resolve) => (give = resolve));
    const files: fs.FileHandle[] = [];
    const { open } = fs;
    const late = mock.method(fs, 'open', async (...args: Parameters<typeof open>) => {
      await given;
      const file = await open(...args);
      files.push(file);
      return file;
    });
    try {
      await assert.rejects(decodeImage(path, many, { timeout: 0.05 }), { message: /late\.png takes longer than the 0\.05 s/ });
      give();
      await until(() => files[0]?.fd === -1, 'the file is closed');
    } finally {
      late.mock.restore(); // not before: it may be late to open it, too
    }
  });
});
