import { once } from 'node:events';
import { mkdtemp, open as openFile, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { UploadedMp4 } from '../../ingest/upload/uploaded-mp4.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { Spool } from '../../platform/spool.ts';
import type { SpoolOptions } from '../../platform/spool.ts';
import type { UploadedUnit } from '../../recorder/port.ts';
import { MediaHttpServer, sendJson } from '../../transport/http/media-http-server.ts';
import { ffmpegMake } from '../support/media.ts';
import { packetsOf } from '../support/mp4-packets.ts';
import { until } from '../support/server.ts';

const START = 1_750_000_000_000;
let folder: string;
let clip: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-uploads-'));
  clip = await ffmpegMake(['-f', 'lavfi', '-i', 'testsrc2=size=160x120:rate=25:duration=2', '-f', 'lavfi', '-i', 'sine=duration=2', '-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '2', '-g', '10', '-pix_fmt', 'yuv420p', '-c:a', 'libopus'], join(folder, 'clip.mp4'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const open = (path: string, bytes = 1_000): Promise<UploadedMp4> => UploadedMp4.open({ path, bytes, camera: 'cam', start: START, clock: systemClock });
const unitsOf = async (media: UploadedMp4): Promise<UploadedUnit[]> => {
  const units: UploadedUnit[] = [];
  for await (const batch of media.units()) units.push(...batch);
  return units;
};

test('[SD-52] a file\'s pictures and sound come with their wall times, bytes as they are', async () => {
  await using media = await open(clip);
  expect(media.duration).toBeCloseTo(2_000, 0);
  const units = await unitsOf(media);
  const pictures = units.filter(({ unit }) => unit.kind === 'video');
  const packets = await packetsOf(clip);
  expect(pictures).toHaveLength(packets.length);
  expect(pictures.map(({ unit }) => unit.randomAccess)).toEqual(packets.map(({ randomAccess }) => randomAccess));
  expect(pictures.map(({ unit }) => unit.wall).sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => START + i * 40));
  expect(pictures.every(({ unit }, i) => unit.dts <= unit.pts && unit.dts > (pictures[i - 1]?.unit.dts ?? -Infinity))).toBe(true);
  expect(units.filter(({ unit }) => unit.kind === 'audio').length).toBeGreaterThan(90);
  expect(units[0]?.unit.tracks.audio).toMatchObject({ codec: 'opus', clockRate: 48_000 });
});

test('[SD-52] whatever is done to a file, it is read or refused as unprocessable', async () => {
  const whole = await readFile(clip);
  const moov = whole.indexOf('moov');
  let seed = 7;
  const random = (below: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below;
  const results = { read: 0, refused: 0 };
  for (let i = 0; i < 16; i++) {
    const bytes = Buffer.from(whole);
    // In the tables, where it matters; every third is cut as well, every fourth claims endless tables.
    for (let n = 0; n < 6; n++) bytes[moov + random(bytes.length - moov)] = random(256);
    if (i % 4 === 1) bytes.writeUInt32BE(0xffff_fff0, bytes.indexOf('stsz', moov) + 12);
    if (i % 4 === 2) bytes.writeUInt32BE(0xffff_fff0, bytes.indexOf('stts', moov) + 8);
    const path = join(folder, `mutant-${String(i)}.mp4`);
    await writeFile(path, i % 3 === 0 ? bytes.subarray(0, random(bytes.length)) : bytes);
    try {
      await using media = await open(path);
      await unitsOf(media);
      results.read++;
    } catch (error) {
      expect(error instanceof MediaError && [error.code, error.message]).toEqual(['UNPROCESSABLE', expect.any(String)]);
      results.refused++;
    }
  }
  expect(results.refused).toBeGreaterThan(5);
});

test('[SD-52] tables and samples of gigabytes are refused by their sizes, before anything is read of them', async () => {
  const whole = await readFile(clip);
  const sparse = async (name: string, head: Buffer, size: number, at = 0): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, '');
    await truncate(path, size);
    await using file = await openFile(path, 'r+');
    await file.write(head, 0, head.length, at);
    return path;
  };
  const moov = Buffer.alloc(16);
  moov.writeUInt32BE(3 << 29 >>> 0, 0);
  moov.write('moov', 4, 'latin1');
  const sizes = Buffer.from(whole);
  const stsz = sizes.indexOf('stsz');
  sizes.writeUInt32BE(500 << 20, stsz + 16); // of the first sample
  const cases = [await sparse('tables.mp4', moov, 3 << 29 >>> 0), await sparse('samples.mp4', sizes, 1 << 30)];
  const before = process.memoryUsage().arrayBuffers;
  for (const path of cases) await expect(open(path)).rejects.toMatchObject({ code: 'UNPROCESSABLE', message: expect.stringMatching(/far too large/) });
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 << 20);
});

describe('[SD-52] the spool', () => {
  const serve = async (options: Partial<SpoolOptions> = {}) => {
    const directory = await mkdtemp(join(folder, 'spool-'));
    const clock = new FakeClock();
    const spool = await Spool.open({ directory, extension: '.mp4', copies: 2, maxBytes: 1 << 20, reserveBytes: 0, clock, ...options });
    const outcome = Promise.withResolvers<string>();
    const server = createServer((request, response) => {
      void (async () => {
        try {
          await using spooled = await spool.take(request);
          outcome.resolve(`${String(spooled.bytes)} ${String((await readdir(directory)).length)}`);
        } catch (error) {
          outcome.resolve(error instanceof MediaError ? (error.reason ?? error.code) : String(error));
        }
        response.end();
      })();
    });
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    const send = (chunks: readonly Buffer[], end: boolean, headers: Readonly<Record<string, string>> = {}) => {
      const request = httpRequest({ port: (server.address() as AddressInfo).port, method: 'POST', headers });
      request.on('error', () => undefined);
      for (const chunk of chunks) request.write(chunk);
      if (end) request.end();
      return request;
    };
    return { directory, clock, spool, send, outcome: outcome.promise, [Symbol.asyncDispose]: async () => { server.closeAllConnections(); await new Promise((resolve) => { server.close(resolve); }); } };
  };

  test('takes a body and removes it when it was used', async () => {
    await using s = await serve();
    s.send([Buffer.alloc(1_000), Buffer.alloc(500)], true);
    expect(await s.outcome).toBe('1500 1');
    await until('it is gone', async () => (await readdir(s.directory)).length === 0);
  });

  test('refuses what is larger than it may be, announced or not, what is empty, and what there is no room for', async () => {
    const cases = [
      [{}, [Buffer.alloc((1 << 20) + 1)], {}, 'PAYLOAD_TOO_LARGE'], [{}, [Buffer.alloc(10)], { 'content-length': String(2 << 20) }, 'PAYLOAD_TOO_LARGE'], [{}, [], {}, 'EMPTY_BODY'],
      [{ freeBytes: () => Promise.resolve(1_999), reserveBytes: 1_000 }, [Buffer.alloc(500)], { 'content-length': '500' }, 'DISK_FULL'],
    ] as const;
    for (const [options, chunks, headers, reason] of cases) {
      await using s = await serve(options);
      s.send(chunks, true, headers);
      expect(await s.outcome).toBe(reason);
      expect(await readdir(s.directory)).toEqual([]);
    }
  });

  test('gives up a client that hangs up or sends nothing for 30 s', async () => {
    for (const leave of ['hang up', 'silence'] as const) {
      await using s = await serve();
      const request = s.send([Buffer.alloc(1_000)], false, { 'content-length': '5000' });
      await until('it comes', async () => (await readdir(s.directory)).length === 1);
      if (leave === 'hang up') request.destroy();
      else await until('it is given up', () => { s.clock.advance(10_000); return s.clock.waiting.length === 0; });
      expect(await s.outcome).toBe('UPLOAD_BROKEN_OFF');
      await until('nothing is left', async () => (await readdir(s.directory)).length === 0);
      request.destroy();
    }
  });

  test('forgets what an earlier process left', async () => {
    const directory = await mkdtemp(join(folder, 'spool-'));
    await writeFile(join(directory, 'left.mp4'), 'x');
    await Spool.open({ directory, extension: '.mp4', copies: 2, maxBytes: 1, reserveBytes: 0, clock: new FakeClock() });
    expect(await readdir(directory)).toEqual([]);
  });
});

test('[SD-52] a body has 30 s, an upload as long as its handler gives it', async () => {
  const clock = new FakeClock();
  await using server = new MediaHttpServer({ clock, logger: silentLogger(), metrics: createMetrics('test'), origins: [], health: () => ({}) });
  const bodies: string[] = [];
  for (const [path, longBody] of [['/short', false], ['/long', true]] as const) {
    server.route('POST', path, async ({ request, response }) => {
      bodies.push(path);
      request.resume();
      await once(request, 'end');
      sendJson(response, {});
    }, { longBody });
  }
  await server.listen(0, '127.0.0.1');
  const status = (path: string) => {
    const answered = Promise.withResolvers<number>();
    const request = httpRequest({ port: server.port, path, method: 'POST', headers: { 'content-length': '10' } }, (response) => {
      response.resume();
      answered.resolve(response.statusCode ?? 0);
    });
    request.on('error', () => { answered.resolve(-1); });
    request.write('12345');
    return { request, answered: answered.promise };
  };
  const [short, long] = [status('/short'), status('/long')];
  await until('both have come', () => bodies.length === 2);
  clock.advance(31_000);
  expect(await short.answered).toBe(408);
  long.request.end('67890');
  expect(await long.answered).toBe(200);
});
