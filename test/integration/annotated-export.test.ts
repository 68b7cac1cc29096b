import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { avcDecoderConfig } from '../../core/codec/h264/track.ts';
import { MediaError } from '../../core/errors.ts';
import { silentLogger } from '../../platform/logging.ts';
import { makeAnnotatedExport } from '../../recorder/annotated-export.ts';
import type { ExportWork } from '../../recorder/annotated-export.ts';
import { pictureKey } from '../../recorder/picture-key.ts';
import type { RangeRun } from '../../recorder/port.ts';
import { clip } from '../support/media.ts';
import { readClip } from '../support/mp4-source.ts';

const NEVER = new AbortController().signal;
let folder: string;
beforeAll(async () => { folder = await mkdtemp(join(tmpdir(), 'imageflow-exports-')); });
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The first `count` pictures of a clip as a run that begins at `start` ms of the file; all but the first `lead` are shown. */
const runOf = (name: string, count: number, start: number, more: { readonly lead?: number; readonly spoil?: (unit: Buffer, i: number) => Buffer; readonly goneAfter?: number } = {}): RangeRun => {
  const media = readClip(clip(name));
  const { video } = media.tracks;
  if (video?.codec !== 'h264') throw new Error('a clip without H.264');
  const units = media.units.filter(({ kind }) => kind === 'video').slice(0, count);
  const { lead = 0, spoil = (unit: Buffer) => unit, goneAfter = Infinity } = more;
  const begin = units[lead]?.pts ?? 0;
  return {
    segmentId: name, sessionId: name, decoderConfig: avcDecoderConfig(video),
    pictures: units.map(({ pts }) => ({ frame: { stream: 'cam', epoch: 1, rtpTs: pts, captureNtp: null, seq: 0 }, wall: pts / 90, at: pts < begin ? null : start + (pts - begin) / 90 })),
    read: async function* () {
      for (const [i, { data }] of units.entries()) {
        await Promise.resolve();
        if (i >= goneAfter) throw new MediaError('NOT_FOUND', 'gone');
        yield spoil(Buffer.from(data), i);
      }
    },
  };
};

const work = (name: string, runs: readonly RangeRun[], length: number, more: Partial<ExportWork> = {}): ExportWork => ({
  camera: 'cam', pictures: { runs, length, missing: 0 }, path: join(folder, name), maxBytes: 1 << 30, boxesOf: () => Promise.resolve(new Map()), onProgress: () => Promise.resolve(), ...more,
});
const make = (of: ExportWork, signal = NEVER) => makeAnnotatedExport(of, systemClock, silentLogger(), signal);
const probe = (path: string, entries: string): string[] => execFileSync('ffprobe', ['-v', 'error', '-count_frames', '-show_entries', entries, '-of', 'csv=p=0', path], { encoding: 'utf8' }).trim().split('\n');

test('[REC-5] pictures keep their times over a gap and B-frames, and another size is fitted into the first', { timeout: 60_000 }, async () => {
  const runs = [runOf('vtest-720p30-bframes.mp4', 40, 0, { lead: 6 }), runOf('vtest-1080p30.mp4', 20, 10_000)];
  const shown = runs.flatMap(({ pictures }) => pictures.flatMap(({ at }) => at ?? [])).sort((a, b) => a - b);
  const progress: number[] = [];
  const of = work('fitted.mp4', runs, 10_700, { onProgress: (at) => { progress.push(at); return Promise.resolve(); } });
  const made = await make(of);
  expect(made).toMatchObject({ pictures: shown.length, undecodable: 0, missing: 0, boxes: 0, bytes: (await stat(of.path)).size });
  expect(progress).toHaveLength(shown.length);
  expect(probe(of.path, 'stream=width,height,nb_read_frames,level')).toEqual([`1280,720,31,${String(shown.length)}`]);
  const times = probe(of.path, 'packet=pts_time').map((time) => parseFloat(time) * 1000);
  expect(Math.max(...times.map((time, i) => Math.abs(time - (shown[i] ?? 0))))).toBeLessThan(0.1);
  expect(parseFloat(probe(of.path, 'format=duration')[0] ?? '')).toBeCloseTo(10.7, 2);
});

test('[REC-5] a box is drawn in the picture it is of', { timeout: 60_000 }, async () => {
  const run = runOf('vtest-720p30.mp4', 12, 0);
  const [sixth] = run.pictures.slice(5);
  const box = { className: 'cup', classId: 1, confidence: 0.5, trackId: null, x: 400, y: 300, width: 200, height: 200 };
  const of = work('boxes.mp4', [run], 400, { boxesOf: () => Promise.resolve(new Map([[pictureKey(1, sixth?.frame.rtpTs ?? -1), [box]]])) });
  expect((await make(of)).boxes).toBe(1);
  const edge = execFileSync('ffmpeg', ['-v', 'error', '-i', of.path, '-vf', 'crop=2:100:400:350,scale=1:1:flags=area', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-']);
  const blue = Array.from({ length: 12 }, (_, i) => (edge[i * 3 + 2] ?? 0) - (edge[i * 3] ?? 0) > 80); // 0x38bdf8
  expect(blue).toEqual(Array.from({ length: 12 }, (_, i) => i === 5));
});

test('[REC-5] a file that has gone costs its own pictures, and damaged ones are counted', { timeout: 60_000 }, async () => {
  const damaged = runOf('vtest-720p30.mp4', 30, 2_000, { spoil: (unit, i) => (i < 10 ? Buffer.from([0, 0, 0, 2, 0x41, 0xff]) : unit) });
  const made = await make(work('gone.mp4', [runOf('vtest-720p30.mp4', 30, 0, { goneAfter: 10 }), damaged, runOf('vtest-720p30.mp4', 10, 4_000)], 4_400));
  expect(made.missing).toBe(1);
  expect(made.undecodable).toBeGreaterThan(0);
  expect(made.pictures).toBeGreaterThanOrEqual(20);
});

test('[REC-5] what cannot be made says what to do: nothing to decode, a file too large, a folder that is not there', { timeout: 60_000 }, async () => {
  const junk = runOf('vtest-720p30.mp4', 10, 0, { spoil: (unit) => unit.fill(0xff) });
  await expect(make(work('junk.mp4', [junk], 400))).rejects.toMatchObject({ code: 'UNPROCESSABLE', message: expect.stringMatching(/No picture of camera cam .* choose another range/) as string });
  await expect(make(work('large.mp4', [runOf('vtest-720p30.mp4', 30, 0)], 1_000, { maxBytes: 10_000 }))).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'EXPORT_TOO_LARGE' });
  await expect(make(work(join('no', 'such.mp4'), [runOf('vtest-720p30.mp4', 30, 0)], 1_000))).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringMatching(/camera cam could not be written .* ask for it again/) as string });
});

test('[REC-5] a full disk ends the export and says so', { timeout: 60_000 }, async () => {
  await expect(make(work('/dev/full', [runOf('vtest-720p30.mp4', 60, 0)], 2_000, { path: '/dev/full' }))).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'DISK_FULL' });
});

test('[REC-5] a cancelled export ends with the reason it was cancelled for', { timeout: 60_000 }, async () => {
  const stop = new AbortController();
  const of = work('cancelled.mp4', [runOf('vtest-1080p30.mp4', 60, 0)], 2_000, { onProgress: () => { stop.abort(new Error('nobody wants it')); return Promise.resolve(); } });
  await expect(make(of, stop.signal)).rejects.toThrow('nobody wants it');
});
