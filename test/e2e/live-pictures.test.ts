/** Pictures of a live camera, out of the one decoder it has: snapshots and MJPEG, checked by the number in their pixels. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startChromium } from '../support/chromium.ts';
import { ask } from '../support/doors.ts';
import { countersOf } from '../support/frame-counters.ts';
import { readFrameStrip } from '../support/frame-strip.ts';
import { clip, ffmpegPush } from '../support/media.ts';
import { readParts } from '../support/mjpeg-reader.ts';
import type { MjpegPart } from '../support/mjpeg-reader.ts';
import { blankPage } from '../support/live-peers.ts';
import { TestServer, until } from '../support/server.ts';

const CAMERA = 'counter';
/** Pictures of the clip: the camera's n-th picture shows n modulo this. */
const PICTURES = 900;
/** Pictures a decoder holds back at most, for their order (ITU-T H.264 A.3.1). */
const HELD_BACK = 16;
const SMALL = 480;
const LARGE = 800;

const stack = new AsyncDisposableStack();
let folder: string;
let server: TestServer;
let files = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-pictures-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  server = stack.use(await TestServer.start());
  const camera = await server.addCamera(CAMERA, { pipelines: [] });
  stack.use(ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(camera), { loop: true }));
  await until('it is live', async () => (await server.request<{ phase: string }>('GET', `/v1/cameras/${CAMERA}`)).phase === 'live');
});
afterAll(() => stack.disposeAsync());

const snapshotPath = (query = ''): string => `/v1/cameras/${CAMERA}/snapshot${query}`;
const mjpegPath = (query = ''): string => `/v1/cameras/${CAMERA}/mjpeg${query}`;
const decoders = (): Promise<number> => server.metric('imageflow_decoders_active', { camera: CAMERA });
const noDecoder = (): Promise<unknown> => until('no decoder', async () => await decoders() === 0, 5_000);

interface Seen { readonly number: number | null; readonly width: number; readonly height: number; readonly codec: string }
/** A picture's size and kind, and the number in its pixels, as ffmpeg reads them. */
const see = async (bytes: Buffer): Promise<Seen> => {
  const path = join(folder, `${String(files++)}.picture`);
  await writeFile(path, bytes);
  const { stdout } = await promisify(execFile)('ffprobe', ['-v', 'error', '-show_entries', 'stream=codec_name,width,height', '-of', 'json', path]);
  const stream = (JSON.parse(stdout) as { streams: { codec_name: string; width: number; height: number }[] }).streams[0]!;
  return { number: (await countersOf(path))[0] ?? null, width: stream.width, height: stream.height, codec: stream.codec_name };
};
const sequenceOf = (headers: { get(name: string): string | null | undefined }): number => Number(headers.get('x-picture-sequence')) % PICTURES;

test('[EXT-9] a snapshot of a camera nobody decodes: a decoder comes and goes; format, size and the number in its pixels are what its headers say', async () => {
  await noDecoder();
  for (const [query, codec, type, width, height] of [
    ['', 'mjpeg', 'image/jpeg', 1280, 720], ['?format=png', 'png', 'image/png', 1280, 720], ['?format=webp&quality=50', 'webp', 'image/webp', 1280, 720],
    ['?width=641', 'mjpeg', 'image/jpeg', 641, 361], ['?height=360&format=webp', 'webp', 'image/webp', 640, 360], ['?width=400&height=400', 'mjpeg', 'image/jpeg', 400, 225],
    ['?width=1920&height=4096&format=png', 'png', 'image/png', 1280, 720],
  ] as const) {
    const came = await server.metric('imageflow_access_units_total', { camera: CAMERA });
    const response = await server.fetch(snapshotPath(query));
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(response.status, bytes.toString().slice(0, 300)).toBe(200);
    expect(response.headers.get('content-type')).toBe(type);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await see(bytes), query).toEqual({ codec, width, height, number: sequenceOf(response.headers) });
    // The newest, not the first of the cached group of pictures; a decoder may hold some back.
    expect(Number(response.headers.get('x-picture-sequence')), query).toBeGreaterThanOrEqual(came - 1 - HELD_BACK);
    expect(response.headers.get('x-picture-time'), query).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(Number(response.headers.get('x-picture-epoch')), query).toBeGreaterThan(0);
    expect(response.headers.get('x-picture-rtp-timestamp'), query).toMatch(/^\d+$/);
  }
  await noDecoder();
  await until('no process', async () => (await server.pids('extractor')).length === 0, 5_000);
});

test('[EXT-9] Accept chooses the format, and rules out what is not wanted; the tag of a picture is its own', async () => {
  const kindOf = async (accept: string): Promise<string | null> => {
    const response = await server.fetch(snapshotPath('?width=64'), { headers: { accept } });
    await response.arrayBuffer();
    return response.headers.get('content-type');
  };
  expect(await kindOf('image/png')).toBe('image/png');
  expect(await kindOf('image/webp,*/*;q=0.8')).toBe('image/webp');
  expect(await kindOf('image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8')).toBe('image/jpeg');
  expect(await ask(`${server.http}${snapshotPath()}`, server.token, { headers: { accept: 'text/html' } })).toMatchObject({ status: 406, problem: { code: 'NO_ACCEPTABLE_FORMAT' } });
  const tags = new Set<string | null>();
  for (const query of ['?width=64', '?width=65', '?width=64&quality=20', '?width=64&format=png']) tags.add((await server.fetch(snapshotPath(query))).headers.get('etag'));
  expect(tags.size).toBe(4);
  expect((await server.fetch(snapshotPath('?width=64'), { headers: { 'if-none-match': '*' } })).status).toBe(304);
});

test('[EXT-9] snapshots at the same moment share what can be shared: many ask, few are encoded, all are of now', async () => {
  await server.fetch(snapshotPath('?width=320')); // the decoder is there
  const before = await server.metric('imageflow_encoded_pictures_total', { camera: CAMERA });
  const answers = await Promise.all(Array.from({ length: 20 }, async () => {
    const response = await server.fetch(snapshotPath('?width=320'));
    return { status: response.status, etag: response.headers.get('etag'), bytes: Buffer.from(await response.arrayBuffer()) };
  }));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  const distinct = new Map(answers.map(({ etag, bytes }) => [etag, bytes]));
  for (const { etag, bytes } of answers) expect(distinct.get(etag)?.equals(bytes)).toBe(true);
  // The first of them may be the picture that was encoded for the one before.
  expect(await server.metric('imageflow_encoded_pictures_total', { camera: CAMERA }) - before).toBeLessThanOrEqual(distinct.size);
  expect(distinct.size).toBeLessThan(answers.length);
});

/** An MJPEG viewer. */
class Viewer implements AsyncDisposable {
  /** The last hundred. */
  readonly parts: MjpegPart[] = [];
  count = 0;
  readonly ended: Promise<void>;
  readonly #stop = new AbortController();

  constructor(path: string, token = server.token) {
    this.ended = (async () => {
      const response = await fetch(`${server.http}${path}`, { headers: { authorization: `Bearer ${token}` }, signal: this.#stop.signal });
      for await (const part of readParts(response)) {
        this.count++;
        this.parts.push(part);
        if (this.parts.length > 100) this.parts.shift();
      }
    })();
    this.ended.catch(() => undefined);
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.ended.catch(() => undefined);
  }
}

/** One who asks and then reads nothing. */
const stalledViewer = async (): Promise<Disposable> => {
  const client = request(`${server.edge}${mjpegPath('?fps=30&quality=100')}`, { headers: { authorization: `Bearer ${server.token}` } });
  client.end();
  client.on('error', () => undefined);
  const [response] = (await once(client, 'response')) as [IncomingMessage];
  response.pause();
  return { [Symbol.dispose]: () => { client.destroy(); } };
};

test('[EXT-1] [EXT-9] ten MJPEG viewers of two sizes, one who reads nothing, snapshots and a detector are one decoder and two encodings; each picture shows its own number; all gone, it ends within 5 s', async () => {
  await server.request('PATCH', `/v1/cameras/${CAMERA}`, { pipelines: ['detect'] });
  const viewers: Viewer[] = [];
  {
    await using watching = new AsyncDisposableStack();
    for (let i = 0; i < 10; i++) viewers.push(watching.use(new Viewer(mjpegPath(`?fps=10&width=${String(i % 2 === 0 ? SMALL : LARGE)}`))));
    await until('all see something', () => viewers.every(({ parts }) => parts.length > 3));
    expect(await server.metric('imageflow_viewers', { camera: CAMERA, protocol: 'mjpeg' })).toBe(10);
    let most = 0;
    const encoded = await server.metric('imageflow_encoded_pictures_total', { camera: CAMERA, format: 'jpeg' });
    const decoded = await server.metric('imageflow_decoded_frames_total', { camera: CAMERA });
    await until('a hundred pictures more', async () => {
      most = Math.max(most, await decoders());
      return await server.metric('imageflow_decoded_frames_total', { camera: CAMERA }) > decoded + 100;
    });
    expect(most).toBe(1);
    // 10 of 30 pictures a second, in two sizes; the counts of decoded pictures come once a second.
    expect(await server.metric('imageflow_encoded_pictures_total', { camera: CAMERA, format: 'jpeg' }) - encoded).toBeLessThan(2 * (100 + 3 * 30) / 3);
    for (const viewer of viewers) {
      for (const part of viewer.parts.slice(-3)) expect(await see(part.bytes)).toMatchObject({ number: sequenceOf(part.headers), width: viewers.indexOf(viewer) % 2 === 0 ? SMALL : LARGE });
      const numbers = viewer.parts.map(({ headers }) => Number(headers.get('x-picture-sequence')));
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    }

    using _stalled = await stalledViewer();
    const last = ({ parts }: Viewer): number => Number(parts.at(-1)?.headers.get('x-picture-sequence'));
    const before = viewers.map(last);
    await until('it loses pictures', async () => await server.metric('imageflow_branch_dropped_total', { camera: CAMERA, branch: 'mjpeg', reason: 'slow_client' }) > 5);
    await until('all others see twenty pictures of the camera more', () => viewers.every((viewer, i) => last(viewer) > (before[i] ?? 0) + 20));
    const snapshot = await server.fetch(snapshotPath(`?width=${String(SMALL)}`));
    expect(await see(Buffer.from(await snapshot.arrayBuffer()))).toMatchObject({ number: sequenceOf(snapshot.headers) });
    expect(await decoders()).toBe(1);
  }
  await server.request('PATCH', `/v1/cameras/${CAMERA}`, { pipelines: [] });
  await noDecoder();
  expect(await server.metric('imageflow_viewers', { camera: CAMERA, protocol: 'mjpeg' })).toBe(0);
});

test('[EXT-9] Chromium shows the MJPEG in an <img>, and it moves', async () => {
  await using browser = await startChromium();
  const page = await blankPage(() => browser.context.newPage(), server);
  await page.evaluate((url) => {
    const image = document.createElement('img');
    image.src = url;
    document.body.append(image);
  }, `${mjpegPath(`?fps=10&width=${String(SMALL)}`)}&token=${server.token}`);
  const shown = (): Promise<{ width: number; number: number | null }> => page.evaluate(({ reader, height }) => {
    const image = document.querySelector('img');
    if (!image || image.naturalWidth === 0) return { width: 0, number: null };
    const canvas = new OffscreenCanvas(image.naturalWidth, height);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    if (!context) throw new Error('no canvas');
    context.drawImage(image, 0, 0);
    const read = (0, eval)(`(${reader})`) as typeof readFrameStrip;
    return { width: image.naturalWidth, number: read(context.getImageData(0, 0, canvas.width, height).data, canvas.width, height, 4) };
  }, { reader: readFrameStrip.toString(), height: Math.floor((SMALL / 1280) * 40) });
  const numbers = new Set<number>();
  await until('ten pictures', async () => {
    const { width, number } = await shown();
    if (number !== null) {
      expect(width).toBe(SMALL);
      numbers.add(number);
    }
    return numbers.size >= 10;
  });
});

test('[EXT-7] a decoder that is killed costs viewers pictures for a moment, and not their connection; who waits for a snapshot gets it from the next', async () => {
  await using viewer = new Viewer(mjpegPath('?width=320'));
  await until('it sees something', () => viewer.parts.length > 2);
  const [pid] = await server.pids('extractor');
  process.kill(pid ?? 0, 'SIGKILL');
  const snapshot = await server.fetch(snapshotPath('?width=320'));
  expect(await see(Buffer.from(await snapshot.arrayBuffer()))).toMatchObject({ number: sequenceOf(snapshot.headers) });
  const seen = viewer.count;
  await until('it sees more', () => viewer.count > seen + 3);
  const pids = await server.pids('extractor');
  expect(pids).toHaveLength(1);
  expect(pids).not.toContain(pid);
});

test('[SD-53] [ING-6] a viewer is ended by a revoked credential and by the camera being shown to nobody, and is told why when it comes again', async () => {
  const { id, key } = await server.request<{ id: string; key: string }>('POST', `/v1/cameras/${CAMERA}/keys`, { kind: 'view' });
  await using revoked = new Viewer(mjpegPath('?width=320'), key);
  await using other = new Viewer(mjpegPath('?width=320'));
  await until('both see something', () => revoked.parts.length > 2 && other.parts.length > 2);
  await server.request('DELETE', `/v1/cameras/${CAMERA}/keys/${id}`);
  await revoked.ended;
  const seen = sequenceOf(other.parts.at(-1)!.headers);
  await until('the other sees more', () => sequenceOf(other.parts.at(-1)!.headers) !== seen);
  for (const path of [snapshotPath(), mjpegPath()]) expect((await ask(`${server.http}${path}`, key)).status).toBe(401);

  await server.request('POST', `/v1/cameras/${CAMERA}/distribution/stop`);
  await other.ended;
  for (const path of [snapshotPath(), mjpegPath()]) expect(await ask(`${server.http}${path}`, server.token)).toMatchObject({ status: 409, problem: { code: 'DISTRIBUTION_OFF', retry_after: 5 } });
  await server.request('POST', `/v1/cameras/${CAMERA}/distribution/start`);
  expect((await server.fetch(snapshotPath('?width=64'))).status).toBe(200);
});

test('[EXT-9] a camera nobody publishes, none at all, and one that is removed while it is watched', async () => {
  await server.addCamera('idle', { pipelines: [] });
  for (const door of ['snapshot', 'mjpeg']) {
    expect(await ask(`${server.http}/v1/cameras/idle/${door}`, server.token)).toMatchObject({ status: 409, problem: { code: 'NO_PUBLISHER' } });
    expect((await ask(`${server.http}/v1/cameras/none/${door}`, server.token)).status).toBe(404);
  }
  const camera = await server.addCamera('passing', { pipelines: [] });
  await using _camera = ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(camera), { loop: true });
  await until('it is live', async () => (await server.request<{ phase: string }>('GET', '/v1/cameras/passing')).phase === 'live');
  await using viewer = new Viewer('/v1/cameras/passing/mjpeg?width=160');
  await until('it is seen', () => viewer.parts.length > 2);
  await server.request('DELETE', '/v1/cameras/passing');
  await viewer.ended;
});

test('[EXT-9] whatever a request asks for is answered with a picture or with what is wrong with it', async () => {
  const hostile = [
    'width=0', 'width=15', 'width=4097', 'width=-1', 'width=1e3', 'width=99999999999999999999', 'width=', 'width=NaN', 'height=0x20', 'height=16.5', 'quality=0', 'quality=101', 'format=gif',
    'format=__proto__', 'format=JPEG', 'annotated=yes', `width=${'9'.repeat(8000)}`, 'width=%00', 'width=320%0d%0aX: y',
  ];
  for (const base of [server.http, server.edge]) {
    for (const query of hostile) {
      const answer = await ask(`${base}${snapshotPath(`?${query}`)}`, server.token);
      expect(answer, query.slice(0, 40)).toMatchObject({ status: 400, problem: { code: 'INVALID_ARGUMENT' } });
    }
    for (const query of ['fps=0', 'fps=61', 'fps=-1', 'fps=1e1', 'fps=Infinity', 'fps=', 'width=5', 'quality=x', 'annotated=2']) {
      expect(await ask(`${base}${mjpegPath(`?${query}`)}`, server.token), query).toMatchObject({ status: 400 });
    }
    expect((await ask(`${base}${snapshotPath()}`, server.token, { method: 'POST' })).status).toBe(405);
  }
  // More different kinds of pictures than a camera is watched in.
  await using watching = new AsyncDisposableStack();
  const viewers = Array.from({ length: 8 }, (_, i) => watching.use(new Viewer(mjpegPath(`?width=${String(64 + i)}&fps=1`))));
  await until('all see something', () => viewers.every(({ parts }) => parts.length > 0));
  expect(await ask(`${server.http}${mjpegPath('?width=100')}`, server.token)).toMatchObject({ status: 503, problem: { code: 'TOO_MANY_PICTURE_KINDS' } });
});
