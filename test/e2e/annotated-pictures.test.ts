/**
 * Live pictures with boxes drawn in, through the whole server: a worker reads the number in each picture it is given and answers with a box whose place says
 * that number; the test reads both from the pixels that come.
 */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { ask } from '../support/doors.ts';
import { countersOf } from '../support/frame-counters.ts';
import { clip, ffmpegPush } from '../support/media.ts';
import { readParts } from '../support/mjpeg-reader.ts';
import { PLACES, boxedPlace, linesOf, plainLines } from '../support/moving-box.ts';
import { TestServer, until } from '../support/server.ts';

const CAMERA = 'counter';
const PICTURES = 900;
const FRAME_MS = 1000 / 30;
/** Frames have their own boxes while the machine keeps up; another program may take it for a while, not so often in a row. */
const TRIES = 6;

const stack = new AsyncDisposableStack();
let folder: string;
let server: TestServer;
let plain: Buffer[];
let files = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imageflow-annotated-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  plain = await plainLines();
  server = stack.use(await TestServer.start({ args: [join(import.meta.dirname, '..', 'support', 'counting-server.ts'), 'moving'] }));
  const camera = await server.addCamera(CAMERA, { pipelines: ['detect'] });
  stack.use(ffmpegPush(clip('counter-720p30.mp4'), server.rtspUrl(camera), { loop: true }));
  await until('detections', async () => await server.metric('imageflow_inference_seconds_count', {}) > 0);
});
afterAll(() => stack.disposeAsync());

/** The number in a picture's pixels, and the place of the box in it. */
const look = async (bytes: Buffer): Promise<{ readonly number: number; readonly place: number | null }> => {
  const path = join(folder, `${String(files++)}.picture`);
  await writeFile(path, bytes);
  const [number] = await countersOf(path);
  const [line] = await linesOf(path);
  if (number === null || number === undefined || !line) throw new Error('a picture without its number');
  return { number, place: boxedPlace(line, plain[number] ?? []) };
};
const get = async (query: string): Promise<{ readonly headers: Headers; readonly bytes: Buffer }> => {
  const response = await server.fetch(`/v1/cameras/${CAMERA}/snapshot?${query}`);
  const bytes = Buffer.from(await response.arrayBuffer());
  expect(response.status, bytes.toString().slice(0, 300)).toBe(200);
  return { headers: response.headers, bytes };
};

interface Seen { readonly how: string | undefined; readonly ageMs: number; readonly number: number; readonly place: number | null }
/** The box is where it was found: in this very picture, or in the one so much older. */
const expectItsBox = ({ how, ageMs, number, place }: Seen): void => {
  const of = (number - Math.round(ageMs / FRAME_MS) + PICTURES) % PICTURES;
  expect(place, `picture ${String(number)}, boxes ${String(how)} of ${String(ageMs)} ms before`).toBe(how === 'none' ? null : of % PLACES);
};

test('[DIS-4] a snapshot has the box of that very frame drawn in, in every format, and without annotated it has none', async () => {
  for (const format of ['jpeg&quality=95', 'png', 'webp&quality=95']) {
    const { headers, bytes } = await until(`${format} of a frame a detector saw`, async () => {
      const answer = await get(`annotated=true&format=${format}`);
      return answer.headers.get('x-picture-boxes') === 'exact' && answer;
    });
    const { number, place } = await look(bytes);
    expect(number).toBe(Number(headers.get('x-picture-sequence')) % PICTURES);
    expect(place, `${format} of ${String(number)}`).toBe(number % PLACES);
    expect(headers.get('x-picture-boxes-age')).toBe('0');
    expect(headers.get('etag')).toMatch(/-annotated"$/);
    const without = await get(`format=${format}`);
    expect(without.headers.has('x-picture-boxes')).toBe(false);
    expect((await look(without.bytes)).place).toBeNull();
  }
  expect(await server.metric('imageflow_decoders_active', { camera: CAMERA })).toBe(1);
});

test('[DIS-4] [EXT-1] every picture of an MJPEG has the box of its own frame or says how much older it is, out of the one decoder; a viewer without boxes beside it sees none', async () => {
  const parts = async (query: string, count: number): Promise<Seen[]> => {
    const stop = new AbortController();
    const response = await fetch(`${server.http}/v1/cameras/${CAMERA}/mjpeg?quality=95&${query}`, { headers: { authorization: `Bearer ${server.token}` }, signal: stop.signal });
    const taken: { readonly headers: ReadonlyMap<string, string>; readonly bytes: Buffer }[] = [];
    for await (const part of readParts(response)) if (taken.push(part) === count) break;
    stop.abort();
    const seen: Seen[] = [];
    for (const { headers, bytes } of taken) seen.push({ how: headers.get('x-picture-boxes'), ageMs: Number(headers.get('x-picture-boxes-age') ?? 0), ...await look(bytes) });
    return seen;
  };
  let own = 0;
  for (let tries = 0; tries < TRIES && own <= 8; tries++) {
    const [annotated, without] = await Promise.all([parts('fps=30&annotated=true', 40), parts('fps=5', 10)]);
    for (const each of annotated) expectItsBox(each);
    expect(without.map(({ how, place }) => [how, place])).toEqual(without.map(() => [undefined, null]));
    own = annotated.filter(({ how }) => how === 'exact').length;
  }
  expect(own).toBeGreaterThan(8);
  expect(await server.metric('imageflow_decoders_active', { camera: CAMERA })).toBe(1);
});

test('[DIS-3] [DIS-4] video_frame messages have the box drawn in that they tell of', async () => {
  const socket = new WebSocket(`${server.http.replace('http', 'ws')}/ws/stream/${CAMERA}?annotated=true&quality=95&fps=15`, [`bearer.${server.token}`]);
  stack.defer(() => { socket.terminate(); });
  const frames: { readonly frame_data: string; readonly annotated: { readonly boxes: string; readonly age_ms: number }; readonly detections: readonly { readonly class: string }[] }[] = [];
  socket.on('message', (data: Buffer) => { frames.push(JSON.parse(data.toString()) as typeof frames[number]); });
  await once(socket, 'open');
  await until('it has heard results', () => frames.splice(0).some(({ detections }) => detections.length > 0)); // what was told before it opened its first messages do not have
  let own = 0;
  for (let tries = 0; tries < TRIES && own <= 15; tries++) {
    own = 0;
    await until('thirty frames', () => frames.length >= 30);
    for (const { frame_data: jpeg, annotated, detections } of frames.splice(0).slice(-30)) {
      const seen = { how: annotated.boxes, ageMs: annotated.age_ms, ...await look(Buffer.from(jpeg, 'base64')) };
      expectItsBox(seen);
      if (seen.how !== 'exact') continue;
      own++;
      expect(detections.map(({ class: name }) => name)).toEqual([String(seen.number)]);
    }
  }
  expect(own).toBeGreaterThan(15);
});

test('[DIS-4] annotated is true or false, and nothing else', async () => {
  for (const door of ['snapshot', 'mjpeg']) expect(await ask(`${server.http}/v1/cameras/${CAMERA}/${door}?annotated=yes`, server.token)).toMatchObject({ status: 400, problem: { code: 'INVALID_ARGUMENT' } });
});

test('[DIS-4] [INF-6] what the camera\'s scene leaves out is not drawn either', async () => {
  const boxes = async (): Promise<boolean | null> => {
    const { headers, bytes } = await get('annotated=true&quality=95');
    return headers.get('x-picture-boxes') === 'exact' ? (await look(bytes)).place !== null : null;
  };
  for (const [scene, drawn] of [[{ classes: ['no such'] }, false], [{ zones: [{ id: 'nowhere', polygon: [[0, 0], [0.02, 0], [0.02, 0.02]] }], zones_only: true }, false], [{}, true]] as const) {
    await server.request('PATCH', `/v1/cameras/${CAMERA}`, { pipelines: [{ id: 'detect', ...scene }] });
    await until(JSON.stringify(scene), async () => (await boxes()) === drawn);
  }
});

test('[DIS-4] with detection off pictures have no boxes, and say so', async () => {
  await server.request('PATCH', `/v1/cameras/${CAMERA}`, { pipelines: [] });
  const { bytes } = await until('nothing is known any more', async () => {
    const answer = await get('annotated=true&quality=95');
    return answer.headers.get('x-picture-boxes') === 'none' && answer;
  });
  expect((await look(bytes)).place).toBeNull();
});
