import { execFileSync, spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, readFile, readdir, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import type { EdgeEvent } from '../../media-control/port.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import type { PlaybackFile, SegmentRecord } from '../../recorder/port.ts';
import { KeptRanges } from '../../recorder/kept-ranges.ts';
import { Recorder } from '../../recorder/recorder.ts';
import { LocalSegments } from '../../recorder/segment-file.ts';
import { readSegmentIndex, recordedSamples } from '../../recorder/segment-index.ts';
import { LocalSegmentReader } from '../../recorder/segment-reader.ts';
import { verifyRecordings } from '../../recorder/verify.ts';
import { startChromium } from '../support/chromium.ts';
import { clip } from '../support/media.ts';
import { readClip } from '../support/mp4-source.ts';
import type { Clip, ClipUnit } from '../support/mp4-source.ts';
import { PartSource } from '../support/part-source.ts';

const SETTINGS = { segment_seconds: 4, flush_ms: 200, window_minutes: 1e6, min_free_bytes: 0, max_bytes: null };
const NEVER = new AbortController().signal;

/** A recorder of one camera over a directory of its own, and everything it told the journal. */
const rig = async (options: { readonly directory?: string; readonly settings?: Partial<typeof SETTINGS>; readonly events?: EdgeEvent[] } = {}) => {
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'imageflow-rec-')));
  const source = new PartSource('cam');
  const events = options.events ?? [];
  const metrics = createMetrics('test');
  const recorder = await Recorder.start(directory, { ...SETTINGS, ...options.settings }, {
    streams: source, journal: { append: (event) => { events.push(event); } }, clock: systemClock, logger: silentLogger(), metrics, policyOf: () => 'always', kept: () => new KeptRanges([]),
  });
  const segments = (): SegmentRecord[] => recorder.knownSegments();
  const written = async (): Promise<number> => (await metrics.recordedBytes.get()).values.reduce((sum, { value }) => sum + value, 0);
  return {
    directory, source, events, metrics, recorder, segments, written,
    /** Waits until all published parts are in files. */
    settle: async (): Promise<void> => {
      const bytes = source.published.reduce((sum, { byteLength }) => sum + byteLength, 0);
      while ((await written()) < bytes) await setImmediate();
    },
    reader: new LocalSegmentReader(new LocalSegments(directory), silentLogger()),
    async [Symbol.asyncDispose]() {
      await recorder[Symbol.asyncDispose]();
      if (!options.directory) await rm(directory, { recursive: true });
    },
  };
};
type Rig = Awaited<ReturnType<typeof rig>>;

const recordAll = async (r: Rig, media: Clip, epoch: number): Promise<void> => {
  r.source.begin('session-1', epoch);
  await r.source.play(media, media.units, epoch, r.settle);
  r.source.change('ended');
  while (r.segments().length === 0 || r.segments().some(({ open }) => open)) await setImmediate();
};

const sha = (bytes: Uint8Array): string => hash('sha256', bytes);
const readAll = async (file: PlaybackFile, start = 0, end = file.byteLength): Promise<Buffer> => {
  const pieces: Buffer[] = [];
  for await (const piece of file.read(start, end, NEVER)) pieces.push(piece);
  return Buffer.concat(pieces);
};

/** What a strict decoder complains about; empty is what we want. */
const complaints = (path: string): string =>
  execFileSync('sh', ['-c', 'ffmpeg -v warning -i "$0" -f null - 2>&1; ffprobe -v warning -count_packets -show_streams "$0" 2>&1 >/dev/null', path], { encoding: 'utf8' });

interface Packet { readonly codec_type: string; readonly pts: number; readonly dts: number; readonly flags: string; readonly size: string; readonly pos: string }
const packetsOf = (path: string): Packet[] =>
  (JSON.parse(execFileSync('ffprobe', ['-v', 'error', '-show_packets', '-of', 'json', path], { maxBuffer: 64 << 20, encoding: 'utf8' })) as { packets: Packet[] }).packets;
/** Times of what is shown, in order: the edit list marks the rest to be discarded. */
const displayed = (packets: readonly Packet[], kind = 'video'): number[] =>
  packets.filter(({ flags, codec_type }) => codec_type === kind && !flags.includes('D')).map(({ pts }) => pts).sort((a, b) => a - b);

/** The baseline clip with pictures at irregular times, as a camera with a variable frame rate sends them. */
const variable = (media: Clip): Clip => {
  let at = 0;
  const units = media.units.map((unit, i): ClipUnit => {
    const moved = { ...unit, pts: at, dts: at, at: at / 90 };
    at += [1500, 3000, 3003, 9001, 4500][i % 5] ?? 3000;
    return moved;
  });
  return { ...media, units };
};

const bframes = readClip(clip('vtest-720p30-bframes.mp4'));
const aac = readClip(clip('vtest-720p30-aac.mp4'));
const baseline = readClip(clip('vtest-720p30-baseline.mp4'));
const counter = readClip(clip('counter-720p30.mp4'));

test.each([
  { name: 'B-frames', media: bframes },
  { name: 'audio', media: aac },
  { name: 'variable frame rate', media: variable(baseline) },
])('[REC-1] what was pushed is what is kept, and every file plays: $name', async ({ media }) => {
  await using r = await rig();
  const epoch = Date.now();
  await recordAll(r, media, epoch);
  const stored = { video: [] as unknown[], audio: [] as unknown[] };
  for (const segment of r.segments()) {
    const path = join(r.directory, `${segment.id}.mp4`);
    expect(complaints(path)).toBe('');
    const bytes = await readFile(path);
    expect({ bytes: bytes.length, sha256: sha(bytes) }).toEqual({ bytes: segment.bytes, sha256: segment.sha256 });
    const index = await readSegmentIndex(new LocalSegments(r.directory), segment);
    expect(index.defect).toBeNull();
    for (const s of recordedSamples(index)) {
      stored[s.kind].push({ hash: sha(bytes.subarray(s.offset, s.offset + s.bytes)), pts: s.pts, dts: s.dts, randomAccess: s.randomAccess, frame: s.frame });
      expect(Math.abs(s.wall - epoch + 1000 - (s.pts * 1000) / (s.kind === 'video' ? 90_000 : 48_000))).toBeLessThan(0.01);
    }
  }
  for (const kind of ['video', 'audio'] as const) {
    const rate = kind === 'video' ? 90_000 : media.tracks.audio?.clockRate ?? 48_000;
    let seq = 0;
    const pushed = media.units.filter((unit) => unit.kind === kind).map((unit) => ({
      hash: sha(unit.data), pts: unit.pts + rate, dts: unit.dts + rate, randomAccess: unit.randomAccess,
      frame: { stream: 'cam', epoch, rtpTs: (unit.pts + 1_000_000) >>> 0, captureNtp: null, seq: kind === 'video' ? seq++ : expect.any(Number) as number },
    }));
    expect(stored[kind]).toEqual(pushed);
  }
  expect((await verifyRecordings(r.directory, r.segments())).problems).toEqual([]);
  expect(r.segments().length).toBeGreaterThan(1);
  expect(r.segments().every(({ gapBefore }) => gapBefore === null)).toBe(true);
});

test('[REC-5] a playback of everything is one file with the same samples, B-frames in order', async () => {
  await using r = await rig();
  const epoch = Date.now();
  await recordAll(r, bframes, epoch);
  const file = await r.reader.playback({ camera: 'cam', from: epoch - 1, to: epoch + 60_000 }, r.segments(), NEVER);
  const path = join(r.directory, 'all.mp4');
  const bytes = await readAll(file);
  await writeFile(path, bytes);
  expect(bytes.length).toBe(file.byteLength);
  expect(complaints(path)).toBe('');
  const packets = packetsOf(path);
  const first = bframes.units[0];
  const size = packets.map(({ pos, size: length }) => sha(bytes.subarray(Number(pos), Number(pos) + Number(length))));
  expect(size).toEqual(bframes.units.map(({ data }) => sha(data)));
  expect(packets.map(({ pts }) => pts)).toEqual(bframes.units.map(({ pts }) => pts - (first?.pts ?? 0)));
});

test('[REC-5] 50 random ranges begin and end within a frame of what was asked, and any byte range equals the slice of the whole', async () => {
  await using r = await rig();
  const epoch = Date.now();
  await recordAll(r, aac, epoch);
  const frame = 1000 / 30;
  const length = 20_000;
  let seed = 7;
  const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  for (let i = 0; i < 50; i++) {
    const from = epoch + random() * (length - 1_000);
    const to = Math.min(epoch + length, from + frame + random() * 8_000);
    const overlap = r.segments().filter((s) => s.start < to && s.start + s.duration > from);
    const file = await r.reader.playback({ camera: 'cam', from, to }, overlap, NEVER);
    const bytes = await readAll(file);
    const path = join(r.directory, 'range.mp4');
    await writeFile(path, bytes);
    const packets = packetsOf(path);
    const pts = displayed(packets, 'video');
    expect(pts[0]).toBe(0);
    expect(Math.abs(file.firstWall - from)).toBeLessThanOrEqual(frame / 2 + 0.02);
    const last = file.firstWall + (pts.at(-1) ?? 0) / 90;
    expect(last).toBeCloseTo(file.lastWall, 1);
    expect(last).toBeLessThan(to);
    expect(to - last).toBeLessThanOrEqual(frame + 0.02);
    const sound = displayed(packets, 'audio');
    expect(Math.abs((sound[0] ?? 0) / 48)).toBeLessThanOrEqual(1024 / 48);
    if (i < 4) expect(complaints(path)).toBe('');
    for (let k = 0; k < 4; k++) {
      const [a = 0, b = 0] = [random(), random()].map((x) => Math.floor(x * (bytes.length + 1))).sort((x, y) => x - y);
      expect(sha(await readAll(file, a, b))).toBe(sha(bytes.subarray(a, b)));
    }
  }
});

/** Reads the frame counter of shared clips from a grey picture (fixtures' README): 32 cells, three of sync, 16 bits, check nibble, end mark. */
const readStrip = (grey: Buffer, width: number): number => {
  const row = 20;
  const cell = (i: number): number => grey[row * width + Math.floor(((i + 0.5) * width) / 32)] ?? 0;
  const bits = Array.from({ length: 32 }, (_, i) => (cell(i) > 127 ? 1 : 0));
  expect([bits.slice(0, 3), bits.slice(23, 25)]).toEqual([[1, 0, 1], [1, 0]]);
  return bits.slice(3, 19).reduce<number>((n, bit) => n * 2 + bit, 0);
};

test('[REC-5] [captured_at, captured_at + 1 frame) decodes to exactly that picture, across segments too', async () => {
  await using r = await rig();
  const epoch = Date.now();
  await recordAll(r, { ...counter, units: counter.units.slice(0, 400) }, epoch);
  for (const n of [0, 1, 29, 30, 31, 77, 119, 120, 121, 239, 240, 301, 398]) {
    const at = Math.floor(epoch + (n * 1000) / 30); // what the API says: whole milliseconds
    const file = await r.reader.playback({ camera: 'cam', from: at, to: at + 1000 / 30 }, r.segments(), NEVER);
    const path = join(r.directory, 'frame.mp4');
    await writeFile(path, await readAll(file));
    const grey = execFileSync('ffmpeg', ['-v', 'error', '-i', path, '-f', 'rawvideo', '-pix_fmt', 'gray', '-'], { maxBuffer: 64 << 20 });
    expect({ n, shown: readStrip(grey, 1280), pictures: grey.length / (1280 * 720) }).toEqual({ n, shown: n, pictures: 1 });
  }
});

test('[REC-4] a playback across a gap, another session and another picture size keeps wall time and plays', async () => {
  await using r = await rig();
  const epoch = Date.now();
  r.source.begin('session-1', epoch);
  await r.source.play(aac, aac.units.filter(({ at }) => at < 5_000), epoch, r.settle);
  r.source.change('interrupted');
  // The same session returns after 7 s with another resolution and no sound, then another session 3 s after that.
  const small = readClip(clip('vtest-1080p30.mp4'));
  const second = epoch + 12_000;
  await r.source.play(small, small.units.filter(({ at }) => at < 3_000), second, r.settle);
  r.source.change('ended');
  const third = second + 6_000;
  r.source.begin('session-2', third);
  await r.source.play(bframes, bframes.units.filter(({ at }) => at < 3_000), third, r.settle);
  r.source.change('ended');
  await r.settle();
  while (r.segments().some(({ open }) => open)) await setImmediate();

  expect(r.segments().map(({ gapBefore }) => gapBefore).filter((gap) => gap !== null)).toEqual([expect.closeTo(7_000, -2), expect.closeTo(3_000, -2)]);
  expect(r.segments().flatMap(({ gapCause }) => gapCause ?? [])).toEqual(['publisher_lost', 'publisher_left']);
  const file = await r.reader.playback({ camera: 'cam', from: epoch + 2_010, to: third + 2_000 }, r.segments(), NEVER);
  const path = join(r.directory, 'gap.mp4');
  await writeFile(path, await readAll(file));
  const pts = displayed(packetsOf(path)).map((tick) => file.firstWall + tick / 90);
  expect(pts.filter((wall) => wall > epoch + 5_000 && wall < second - 50)).toEqual([]);
  for (const start of [second, third]) expect(Math.min(...pts.map((wall) => Math.abs(wall - start)))).toBeLessThan(1000 / 30);
  expect(complaints(path)).toBe('');
});

test('[REC-3] kill -9 at full speed costs at most one part; the rest is repaired, plays, and equals the index', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'imageflow-rec-'));
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', 'support', 'recorder-child.ts'), directory, clip('vtest-720p30-aac.mp4')], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    // The child prints the media milliseconds of each part it has published and seen written; it dies in the middle of the third segment.
    let acknowledged = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged = Number(line);
      if (acknowledged > 9_500) child.kill('SIGKILL');
    }
    const events: EdgeEvent[] = [];
    await using r = await rig({ directory, events });
    const segments = r.segments();
    expect(segments.every(({ open, sha256 }) => !open && sha256 !== null)).toBe(true);
    expect(events.filter(({ type }) => type === 'segment')).toHaveLength(segments.length);
    expect((await verifyRecordings(directory, segments)).problems).toEqual([]);
    const recorded = segments.reduce((sum, { duration }) => sum + duration, 0);
    expect(acknowledged - recorded).toBeLessThanOrEqual(200);
    for (const { id } of segments) expect(complaints(join(directory, `${id}.mp4`))).toBe('');
  } finally {
    child.kill('SIGKILL');
    await rm(directory, { recursive: true });
  }
});

test('[REC-3] a torn tail is cut off at the last whole part, wherever it is torn', async () => {
  await using r = await rig();
  await recordAll(r, { ...bframes, units: bframes.units.slice(0, 100) }, Date.now());
  await r.recorder[Symbol.asyncDispose]();
  const last = r.segments().at(-1);
  const path = join(r.directory, `${last?.id ?? ''}.mp4`);
  const whole = await readFile(path);
  const before = await readSegmentIndex(new LocalSegments(r.directory), { ...last, bytes: whole.length } as SegmentRecord);
  for (const missing of [1, 7, 9_000, 20_000, 60_000, 100_000]) {
    await writeFile(path, whole.subarray(0, whole.length - missing));
    await using again = await rig({ directory: r.directory });
    const repaired = again.segments().find(({ id }) => id === last?.id);
    const size = (await stat(path)).size;
    expect(size).toBe(repaired?.bytes);
    expect(size).toBeLessThanOrEqual(whole.length - missing);
    expect(complaints(path)).toBe('');
    const index = await readSegmentIndex(new LocalSegments(r.directory), repaired as SegmentRecord);
    expect(index.defect).toBeNull();
    expect(index.wallAtZero.length).toBeLessThanOrEqual(before.wallAtZero.length - (missing > 8_000 ? 1 : 0)); // less than that is only the index at the end
    expect((await verifyRecordings(r.directory, again.segments())).problems).toEqual([]);
  }
});

test('[REC-3] an unreadable file is moved aside with an alarm, and a camera without a manifest comes back from its files', async () => {
  await using r = await rig();
  await recordAll(r, { ...bframes, units: bframes.units.slice(0, 200) }, Date.now());
  const before = r.segments();
  await r.recorder[Symbol.asyncDispose]();
  await unlink(join(r.directory, 'cam', 'segments.jsonl'));
  await writeFile(join(r.directory, 'cam', '1750000000000-deadbeef-0.mp4'), Buffer.alloc(5_000, 0xa5));
  const events: EdgeEvent[] = [];
  await using again = await rig({ directory: r.directory, events });
  expect(again.segments()).toEqual(before);
  expect(events.filter(({ type }) => type === 'alarm')).toMatchObject([{ alarm: { code: 'recording_damaged', raised: true } }]);
  expect(await readdir(join(r.directory, 'cam', 'damaged'))).toEqual(['1750000000000-deadbeef-0.mp4']);
});

/** A file system of 6 MB. Only a real one is full the way a disk is, and only root may mount one. */
const mountSmallDisk = async (): Promise<string> => {
  if (process.getuid?.() !== 0) throw new Error('this test mounts a small tmpfs to fill it, which needs root: run the tests as root, or by `unshare --user --map-root-user --mount npm test`');
  const directory = await mkdtemp(join(tmpdir(), 'imageflow-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', directory]);
  return directory;
};

test('[REC-3] a full disk: viewers see every part, oldest recordings go first, then an alarm; recording resumes when there is room', async () => {
  const directory = await mountSmallDisk();
  try {
    const events: EdgeEvent[] = [];
    await using r = await rig({ directory, events, settings: { segment_seconds: 1 } });
    const alarms = (): boolean[] => events.flatMap((event) => (event.type === 'alarm' && event.alarm.id === 'recording/cam' ? [event.alarm.raised] : []));
    let live = 0;
    r.source.parts.attach(() => { live++; });
    const epoch = Date.now();
    r.source.begin('session-1', epoch);
    const turn = async (): Promise<void> => { for (let i = 0; i < 50; i++) await setImmediate(); };
    // 20 s at 2 Mbit/s are 5 MB: it fits only because the oldest goes.
    await writeFile(join(directory, 'other'), Buffer.alloc(3 << 20));
    let at = epoch;
    for (; !events.some(({ type }) => type === 'segment-expired'); at += 10_000) await r.source.play(aac, aac.units.slice(0, 300), at, turn);
    // Somebody else takes the rest, and there is nothing left to delete.
    const other = await open(join(directory, 'hog'), 'w');
    while (!alarms().includes(true)) {
      await other.write(Buffer.alloc(1 << 20)).catch(() => undefined);
      await r.source.play(aac, aac.units.slice(0, 200), at += 10_000, turn);
    }
    await other.close();
    await unlink(join(directory, 'hog'));
    await unlink(join(directory, 'other'));
    while (alarms().at(-1) !== false) await r.source.play(aac, aac.units.slice(0, 200), at += 10_000, turn);
    expect(live).toBe(r.source.published.length);
    r.source.change('ended');
    while (r.segments().some((segment) => segment.open)) await setImmediate();
    expect((await verifyRecordings(directory, r.segments())).problems.filter(({ problem }) => problem !== 'not in the index')).toEqual([]);
    for (const { id } of r.segments()) expect(complaints(join(directory, `${id}.mp4`))).toBe('');
    const dropped = (await r.metrics.branchDropped.get()).values.filter(({ labels }) => labels.branch === 'recorder');
    expect(dropped.length).toBeGreaterThan(0);
  } finally {
    execFileSync('umount', ['-l', directory]);
    await rm(directory, { recursive: true });
  }
});

test('Chromium plays a playback, begins with the asked picture and can seek', async () => {
  await using r = await rig();
  const epoch = Date.now();
  await recordAll(r, { ...counter, units: counter.units.slice(0, 300) }, epoch);
  const file = await r.reader.playback({ camera: 'cam', from: epoch + (47 * 1000) / 30, to: epoch + 9_000 }, r.segments(), NEVER);
  const server = createServer((request, response) => {
    void (async () => {
      if (request.url !== '/video.mp4') return response.setHeader('content-type', 'text/html').end('<video id=v muted></video>');
      const [, from = '0', to = ''] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? 'bytes=0-') ?? [];
      const end = to === '' ? file.byteLength : Number(to) + 1;
      response.writeHead(206, { 'content-type': file.contentType, 'accept-ranges': 'bytes', 'content-length': end - Number(from), 'content-range': `bytes ${from}-${String(end - 1)}/${String(file.byteLength)}`, etag: file.etag });
      for await (const piece of file.read(Number(from), end, NEVER)) response.write(piece);
      return response.end();
    })().catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await using browser = await startChromium();
    const page = await browser.context.newPage();
    await page.goto(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`);
    const shown = await page.evaluate(async () => {
      const video = document.querySelector('video');
      if (!video) throw new Error('no video element');
      const canvas = document.createElement('canvas');
      const read = (): number => {
        canvas.width = video.videoWidth;
        canvas.height = 40;
        const context = canvas.getContext('2d');
        context?.drawImage(video, 0, 0);
        const pixels = context?.getImageData(0, 20, canvas.width, 1).data ?? new Uint8ClampedArray();
        let n = 0;
        for (let cell = 3; cell < 19; cell++) n = n * 2 + ((pixels[Math.floor(((cell + 0.5) * canvas.width) / 32) * 4] ?? 0) > 127 ? 1 : 0);
        return n;
      };
      const at = async (seconds: number | null): Promise<number> => {
        const presented = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
        if (seconds === null) video.src = '/video.mp4';
        else video.currentTime = seconds;
        await presented;
        return read();
      };
      const first = await at(null);
      const later = await at(100.5 / 30);
      video.currentTime = 0;
      await video.play();
      await new Promise((resolve) => { video.onended = resolve; });
      return { first, later, duration: video.duration, last: read(), error: video.error?.message ?? null };
    });
    expect(shown).toEqual({ first: 47, later: 147, duration: expect.closeTo((270 - 47) / 30, 2) as number, last: 269, error: null });
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
