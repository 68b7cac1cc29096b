/**
 * Live video with boxes burned in, through the whole server: a worker reads the number in each picture it is given and answers with a box whose place says that
 * number; the test reads both from the pixels that Chromium shows, and that ffmpeg takes from the playlist.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright-core';
import { startChromium } from '../support/chromium.ts';
import { LiveDetections } from '../support/detections.ts';
import { PLAY_OFFER, PUBLISH_OFFER, ask } from '../support/doors.ts';
import { countersOf } from '../support/frame-counters.ts';
import { readFrameStrip } from '../support/frame-strip.ts';
import { blankPage, closePeer, playCamera } from '../support/live-peers.ts';
import { clip, ffmpegPush, run } from '../support/media.ts';
import { PLACES, ROWS, boxedPlace, linesOf, plainLines } from '../support/moving-box.ts';
import { TestServer, until } from '../support/server.ts';
import type { Camera } from '../support/server.ts';

const CAMERA = 'counter';
/** Pictures of the clip. */
const PICTURES = 900;
/** A frame has the box of one so many before it at most: two seconds. */
const HELD = 61;
/** Results that boxes shown from now on may be of: of ten seconds, for a viewer may be behind. */
const BEFORE = 150;
/** Of the frames that were looked at, so many are to have their own box; so often it is tried. */
const OWN = 0.75;
const TRIES = 6;

const stack = new AsyncDisposableStack();
let folder: string;
let server: TestServer;
let plain: Buffer[];
let page: Page;
let camera: Camera;
/** Opened long before pictures are judged by it, so that nothing that shows boxes is older. */
let live: LiveDetections;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-burned-in-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  plain = await plainLines();
  server = stack.use(await TestServer.start({ args: [join(import.meta.dirname, '..', 'support', 'counting-server.ts'), 'moving'] }));
  camera = await server.addCamera(CAMERA, { pipelines: ['detect'] });
  stack.use(ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(camera), { loop: true }));
  await until('detections', async () => await server.metric('imageflow_inference_seconds_count', {}) > 0);
  live = await listen();
  const browser = stack.use(await startChromium());
  page = await blankPage(() => browser.context.newPage(), server);
});
afterAll(() => stack.disposeAsync());

const listen = async (): Promise<LiveDetections> => stack.use(await LiveDetections.open(camera.urls['websocket'] ?? '', server.token));
const encoders = (): Promise<number> => server.metric('imageflow_annotated_encoders_active', { camera: CAMERA });
const decoders = (): Promise<number> => server.metric('imageflow_decoders_active', { camera: CAMERA });

interface Shown { readonly number: number; readonly line: ArrayLike<number> }
/** What the peer `name` shows in the next `count` pictures whose number can be read. */
const watch = (name: string, count: number): Promise<Shown[]> =>
  page.evaluate(async ({ of, wanted, reader, rows }) => {
    const video = (globalThis as unknown as { peers: Record<string, { readonly video: HTMLVideoElement }> }).peers[of]?.video;
    const [strip, line] = [new OffscreenCanvas(320, 10), new OffscreenCanvas(1280, 1)].map((canvas) => canvas.getContext('2d', { willReadFrequently: true }));
    if (!video || !strip || !line) throw new Error('nothing plays');
    const read = (0, eval)(`(${reader})`) as typeof readFrameStrip;
    const shown: { number: number; line: number[] }[] = [];
    while (shown.length < wanted) {
      await new Promise((resolve) => { video.requestVideoFrameCallback(resolve); });
      const frame = new VideoFrame(video); // one picture: the element may show the next one already
      strip.drawImage(frame, 0, 0, 1280, 40, 0, 0, 320, 10);
      line.drawImage(frame, 0, rows.top, 1280, rows.height, 0, 0, 1280, 1);
      frame.close();
      const number = read(strip.getImageData(0, 0, 320, 10).data, 320, 10, 4);
      if (number === null) continue;
      const pixels = line.getImageData(0, 0, 1280, 1).data;
      shown.push({ number, line: Array.from({ length: 3 * 1280 }, (_, i) => pixels[4 * Math.floor(i / 3) + (i % 3)] ?? 0) });
    }
    return shown;
  }, { of: name, wanted: count, reader: readFrameStrip.toString(), rows: ROWS });

/** The place of the box in each picture; null: it has none. */
const placesOf = (shown: readonly Shown[]): (number | null)[] => shown.map(({ number, line }) => boxedPlace(line, plain[number] ?? []));

/**
 * Looks at pictures: no box may be of a frame that was not looked at, or of a later one, and most frames that were have their own. That share is judged on pictures
 * a busy machine keeps up with: results that come too late for their frame leave it with the box before.
 */
const expectItsBoxes = async (look: () => Promise<readonly Shown[]>): Promise<void> => {
  let share = 0;
  for (let tries = 0; tries < TRIES && share < OWN; tries++) {
    const from = Math.max(0, live.messages.length - BEFORE);
    const shown = await look();
    expect(live.open, 'the detections socket is open').toBe(true);
    const inferred = new Set(live.messages.slice(from).flatMap(({ detections }) => detections.map(({ class_name: name }) => Number(name))));
    const places = placesOf(shown);
    let [own, looked] = [0, 0];
    for (const [i, { number }] of shown.entries()) {
      const place = places[i] ?? null;
      if (inferred.has(number)) looked++;
      if (inferred.has(number) && place === number % PLACES) own++;
      const before = Array.from({ length: HELD }, (_, k) => (number - k + PICTURES) % PICTURES);
      const shows = `of ${shown.map((one) => one.number).join()} picture ${String(number)} with the box of place ${String(place)}; looked at: ${[...inferred].join()}`;
      expect(place === null || before.some((one) => inferred.has(one) && one % PLACES === place), shows).toBe(true);
    }
    console.info('boxes burned in:', JSON.stringify({ pictures: shown.length, looked, own }));
    share = looked < shown.length / 10 ? 0 : own / looked;
  }
  expect(share).toBeGreaterThanOrEqual(OWN);
};

/** Plays an address in the page as the peer `name`, until disposed of. */
const play = async (path: string, name: string, token = server.token): Promise<{ readonly location: string } & AsyncDisposable> => {
  const location = await playCamera(page, `${server.http}${path}`, token, name);
  return {
    location,
    async [Symbol.asyncDispose]() {
      await ask(`${server.http}${location}`, server.token, { method: 'DELETE' });
      await closePeer(page, name);
    },
  };
};
const ANNOTATED = `/whep/${CAMERA}/annotated`;

test('[DIS-4] Chromium plays /whep/{camera}/annotated and shows each box on the frame it was found in; the plain video beside it has none; one encoder for two viewers, none before and none 5 s after', { timeout: 180_000 }, async () => {
  expect([await encoders(), await server.metric('imageflow_annotated_frames_total')]).toEqual([0, 0]);
  await using _plain = await play(`/whep/${CAMERA}`, 'plain');
  {
    await using second = await play(ANNOTATED, 'second');
    {
      await using first = await play(ANNOTATED, 'first');
      for (const { location } of [first, second]) expect(location).toMatch(/^\/whep\/counter\/annotated\/[0-9a-f-]{36}$/);
      expect([await encoders(), await decoders(), await server.metric('imageflow_viewers', { camera: CAMERA, protocol: 'webrtc-annotated' })]).toEqual([1, 1, 2]);
      await expectItsBoxes(() => watch('first', 60));
      await expectItsBoxes(() => watch('second', 30));
      expect(placesOf(await watch('plain', 30))).toEqual(Array.from({ length: 30 }, () => null));
      expect([await encoders(), await decoders()]).toEqual([1, 1]);
    }
    await watch('second', 5);
    expect(await encoders()).toBe(1);
  }
  await until('no encoder', async () => await encoders() === 0, 5_000);
  const made = await server.metric('imageflow_annotated_frames_total');
  await watch('plain', 5);
  expect([await server.metric('imageflow_annotated_frames_total'), await decoders()]).toEqual([made, 1]);
});

test('[DIS-4] /hls/{camera}/annotated/index.m3u8 plays in ffmpeg: H.264 without B-frames, random access every two seconds, each box on its frame; gone when nobody asks any more', { timeout: 180_000 }, async () => {
  const path = join(folder, 'hls.mp4');
  await expectItsBoxes(async () => {
    const { code, stderr } = await run('ffmpeg', ['-hide_banner', '-loglevel', 'error', '-y', '-t', '6', '-i', `${server.http}/hls/${CAMERA}/annotated/index.m3u8?token=${server.token}`, '-c', 'copy', path]).exit;
    expect(code, stderr).toBe(0);
    const [numbers, lines] = [await countersOf(path), await linesOf(path)];
    return numbers.flatMap((number, i) => (number === null ? [] : [{ number, line: lines[i] ?? [] }]));
  });
  expect([await encoders(), await decoders(), await server.metric('imageflow_viewers', { camera: CAMERA, protocol: 'hls-annotated' })]).toEqual([1, 1, 1]);
  const probe = async (...entries: string[]): Promise<string> => (await promisify(execFile)('ffprobe', ['-v', 'error', ...entries, '-of', 'csv=p=0', path])).stdout.trim();
  expect(await probe('-show_entries', 'stream=codec_name,profile,width,height,has_b_frames')).toBe('h264,Constrained Baseline,1280,720,0');
  // Within two seconds of each random access picture another, or, where a busy machine has left some out, the next that was encoded.
  let [key, keys, longest] = [0, 0, 0];
  for (const packet of (await probe('-show_entries', 'packet=pts_time,flags')).split('\n')) {
    if (!packet.includes('K')) longest = Math.max(longest, parseFloat(packet) - key);
    else [key, keys] = [parseFloat(packet), keys + 1];
  }
  expect(keys).toBeGreaterThan(2);
  expect(longest).toBeLessThan(2);
  await until('no encoder', async () => await encoders() === 0, 20_000);
  expect(await ask(`${server.http}/hls/${CAMERA}/annotated/seg-none.m4s`, server.token)).toMatchObject({ status: 404 });
});

test('[DIS-4] [SD-53] [ING-6] who may not watch is refused as at the plain video, and who watches is ended', { timeout: 120_000 }, async () => {
  await server.addCamera('idle', { pipelines: [] });
  const offer = (camera: string, token: string | null = server.token, body = PLAY_OFFER) => ask(`${server.http}/whep/${camera}/annotated`, token, { method: 'POST', headers: { 'content-type': 'application/sdp' }, body });
  const playlist = (camera: string, token: string | null = server.token) => ask(`${server.http}/hls/${camera}/annotated/index.m3u8`, token);
  const { id, key } = await server.request<{ id: string; key: string }>('POST', `/v1/cameras/${CAMERA}/keys`, { kind: 'view' });
  for (const door of [offer, playlist]) {
    expect(await door(CAMERA, null)).toMatchObject({ status: 401 });
    expect(await door('idle', key)).toMatchObject({ status: 403 });
    expect(await door('no-such-camera')).toMatchObject({ status: 404 });
  }
  expect(await offer('idle')).toMatchObject({ status: 409, problem: { code: 'NO_PUBLISHER' } });
  expect(await playlist('idle')).toMatchObject({ status: 404, problem: { code: 'NO_MEDIA' } });
  expect(await offer(CAMERA, server.token, PUBLISH_OFFER)).toMatchObject({ status: 422, problem: { code: 'PLAY_ONLY' } });
  expect(await offer(CAMERA, server.token, PLAY_OFFER.replaceAll(/H264|VP8/g, 'AV1'))).toMatchObject({ status: 406, problem: { code: 'NO_COMMON_CODEC' } });

  await using _revoked = await play(ANNOTATED, 'revoked', key);
  await server.request('DELETE', `/v1/cameras/${CAMERA}/keys/${id}`);
  await until('it is ended', async () => await server.metric('imageflow_viewers', { camera: CAMERA, protocol: 'webrtc-annotated' }) === 0, 5_000);
  expect(await offer(CAMERA, key)).toMatchObject({ status: 401 });

  await using _switched = await play(ANNOTATED, 'switched');
  expect(await playlist(CAMERA)).toMatchObject({ status: 200 });
  await server.request('POST', `/v1/cameras/${CAMERA}/distribution/stop`);
  await until('no encoder', async () => await encoders() === 0, 5_000);
  for (const door of [offer, playlist]) expect(await door(CAMERA)).toMatchObject({ status: 409, problem: { code: 'DISTRIBUTION_OFF' } });
  await server.request('POST', `/v1/cameras/${CAMERA}/distribution/start`);
  expect(await playlist(CAMERA)).toMatchObject({ status: 200 });
});

test('[DIS-4] a camera with B-frames, which WebRTC cannot show, is shown with its boxes', { timeout: 60_000 }, async () => {
  const reordered = await server.addCamera('reordered', { pipelines: [] });
  await using _camera = ffmpegPush(clip('vtest-720p30-bframes.mp4'), server.rtspUrl(reordered), { loop: true });
  await until('it is live', async () => (await server.request<{ phase: string }>('GET', '/v1/cameras/reordered')).phase === 'live');
  expect(await ask(`${server.http}/whep/reordered`, server.token, { method: 'POST', headers: { 'content-type': 'application/sdp' }, body: PLAY_OFFER })).toMatchObject({ status: 406, problem: { code: 'B_FRAMES' } });
  await using _shown = await play('/whep/reordered/annotated', 'reordered');
});

test('[EXT-7] [DIS-4] an extractor that is killed, and a camera that publishes anew, cost a viewer some pictures, and not its connection', { timeout: 60_000 }, async () => {
  live = await listen(); // the one before was ended with everybody who watched when distribution stopped
  await using _viewer = await play(ANNOTATED, 'survivor');
  await watch('survivor', 5);
  for (const pid of await server.pids('extractor')) process.kill(pid, 'SIGKILL');
  await until('there is an encoder again', async () => await encoders() === 1);
  await watch('survivor', 30);
  const epoch = async (): Promise<number> => Number((await server.fetch(`/v1/cameras/${CAMERA}/snapshot?width=64`)).headers.get('x-picture-epoch'));
  const before = await epoch();
  await using _again = ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(camera), { loop: true });
  await until('the camera publishes anew', async () => await epoch() > before);
  await expectItsBoxes(() => watch('survivor', 30));
  expect(await server.metric('imageflow_viewers', { camera: CAMERA, protocol: 'webrtc-annotated' })).toBe(1);
});
