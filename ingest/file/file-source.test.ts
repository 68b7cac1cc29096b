import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AccessUnit } from '../../core/access-unit.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { EdgeStreamRegistry } from '../stream-registry.ts';
import { resolveClip } from './clip-path.ts';
import { FileSources } from './file-sources.ts';
import { Mp4Clip } from './mp4-clip.ts';

const MEDIA = new URL('../../test/fixtures/media/', import.meta.url).pathname;

const setUp = (directory = MEDIA) => {
  const clock = new FakeClock();
  const registry = new EdgeStreamRegistry({ graceSeconds: 15, maxSessions: 10, clock, metrics: createMetrics('test'), logger: silentLogger() });
  const stream = registry.add({ id: 'c' });
  const units: AccessUnit[] = [];
  stream.hub.attach((unit) => units.push(unit));
  const problems: (string | null)[] = [];
  const sources = new FileSources({ streams: registry, directory, clock, logger: silentLogger(), onProblem: (_, problem) => problems.push(problem) });
  /** Lets time pass while the source waits for it, and files be read, until `done`. */
  const until = async (done: () => boolean, stepMs = 5): Promise<void> => {
    for (let turn = 0; !done(); turn++) {
      if (turn > 200_000) throw new Error('it never came to that');
      await setImmediate();
      if (clock.waiting.length > 0) clock.advance(stepMs);
    }
  };
  return { clock, registry, stream, units, problems, sources, until };
};

describe('a file source', () => {
  test('plays its file in a loop, in real time and on one timeline', async () => {
    const { clock, stream, units, sources, until } = setUp();
    sources.apply({ id: 'c', source: { type: 'file', url: 'vtest-720p30-bframes.mp4' } });
    await until(() => units.length >= 1);
    const begun = clock.monotonic();
    await until(() => units.length >= 650);
    expect(stream.session).toMatchObject({ phase: 'live', protocol: 'file' });
    expect(Math.abs(clock.monotonic() - begun - 650_000 / 30)).toBeLessThan(500);
    // 300 pictures a round: the second begins 10 s after the first, to the tick
    const [first, again] = [units[0], units[300]];
    expect(again?.randomAccess).toBe(true);
    expect((again?.pts ?? 0) - (first?.pts ?? 0)).toBe(900_000);
    expect(again?.data.equals(first?.data ?? Buffer.alloc(0))).toBe(true);
    expect([...units].sort((a, b) => a.pts - b.pts).slice(0, 640).every((unit, i, sorted) => i === 0 || unit.pts - (sorted[i - 1]?.pts ?? 0) === 3_000)).toBe(true);
    expect(units.every((unit, i) => unit.dts <= unit.pts && (i === 0 || unit.dts > (units[i - 1]?.dts ?? 0)))).toBe(true);
    expect(new Set(units.map(({ tracks }) => tracks)).size).toBe(1);
    expect(units[0]?.tracks.video).toMatchObject({ codec: 'h264', width: 1280, height: 720, reorderDepth: 2 });
    sources.remove('c');
    await until(() => stream.session?.phase === 'ended');
    expect(stream.session?.reason).toBe('source stopped');
  });

  test('carries AAC in step with the video, also over the seam', async () => {
    const { units, sources, until } = setUp();
    sources.apply({ id: 'c', source: { type: 'file', url: 'vtest-720p30-aac.mp4' } });
    await until(() => units.filter(({ kind }) => kind === 'video').length >= 660);
    const audio = units.filter(({ kind }) => kind === 'audio');
    const video = units.filter(({ kind }) => kind === 'video');
    expect((audio[0]?.pts ?? 0) / 48 - (video[0]?.pts ?? 0) / 90).toBeLessThan(22);
    const steps = new Set(audio.slice(1).map((unit, i) => unit.pts - (audio[i]?.pts ?? 0)));
    expect([...steps].every((step) => step >= 1 && step <= 2 * 1_024)).toBe(true);
    expect(audio.slice(1).filter((unit, i) => unit.pts - (audio[i]?.pts ?? 0) !== 1_024).length).toBeLessThanOrEqual(2);
    sources[Symbol.dispose]();
  });

  test('says why it does not run, tries again, and says when it does', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'file-source-'));
    try {
      await writeFile(join(directory, 'belt.mp4'), 'no MP4');
      const { clock, units, problems, sources, until } = setUp(directory);
      sources.apply({ id: 'c', source: { type: 'file', url: 'belt.mp4' } });
      await until(() => problems.length === 1, 0);
      expect(problems[0]).toMatch(/cannot be read/);
      await rm(join(directory, 'belt.mp4'));
      clock.advance(1_000);
      await until(() => problems.length === 2, 0);
      expect(problems[1]).toMatch(/cannot be found/);
      sources.remove('c');
      expect(problems[2]).toBeNull();
      expect(units).toEqual([]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test('follows what the control plane wants of its camera', async () => {
    const { stream, units, sources, until } = setUp();
    sources.apply({ id: 'c', source: { type: 'file', url: 'vtest-720p30.mp4' } });
    await until(() => units.length >= 5);
    const epoch = units[0]?.frame.epoch;
    sources.apply({ id: 'c', source: { type: 'file', url: 'vtest-720p30.mp4' } });
    await until(() => units.length >= 10);
    expect(units.at(-1)?.frame.epoch).toBe(epoch);
    sources.apply({ id: 'c', source: { type: 'file', url: 'counter-720p30.mp4' } });
    await until(() => units.at(-1)?.frame.epoch !== epoch);
    sources.apply({ id: 'c', source: { type: 'push' } });
    await until(() => stream.session?.phase === 'ended');
  });
});

test('a clip breaks off cleanly when its reader does', async () => {
  using clip = await Mp4Clip.open(join(MEDIA, 'vtest-720p30-aac.mp4'));
  for await (const sample of clip.samples()) if (sample.kind === 'video') break;
  expect(clip.period).toBe(20 * 90_000);
});

describe('the path of a file source', () => {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'clip-path-'));
    await mkdir(join(directory, 'clips', 'line'), { recursive: true });
    await writeFile(join(directory, 'clips', 'line', 'a b.mp4'), '');
    await writeFile(join(directory, 'secret.mp4'), '');
    await symlink(join(directory, 'secret.mp4'), join(directory, 'clips', 'link.mp4'));
    await symlink(join(directory, 'clips'), join(directory, 'alias'));
  });
  afterEach(async () => { await rm(directory, { recursive: true }); });

  test.each(['line/a b.mp4', './line/../line/a b.mp4', 'file:line/a b.mp4'])('%s is found below the folder', async (url) => {
    expect(await resolveClip(join(directory, 'clips'), url)).toMatch(/clips\/line\/a b\.mp4$/);
  });

  test('may be absolute, and the folder itself a link', async () => {
    expect(await resolveClip(join(directory, 'alias'), `file://${join(directory, 'clips', 'line', 'a%20b.mp4')}`)).toMatch(/a b\.mp4$/);
  });

  test.each(['../secret.mp4', 'link.mp4', '/etc/passwd', 'file:///etc/passwd', 'file://other-host/x.mp4', '.', '', 'a\0b', 'nowhere.mp4'])('%j is refused', async (url) => {
    await expect(resolveClip(join(directory, 'clips'), url)).rejects.toMatchObject({ code: 'UNPROCESSABLE', reason: 'FILE_SOURCE' });
  });
});
