/** D-16: retention eats the range that somebody plays slowly. Fifteen minutes at 1 MB/s, scaled down: what counts is who is faster. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { MediaError } from '../core/errors.ts';
import { FakeClock } from '../core/testing-clock.ts';
import { silentLogger } from '../platform/logging.ts';
import type { SegmentRecord } from './port.ts';
import { Retention } from './retention.ts';
import { LocalSegments } from './segment-file.ts';
import { SegmentInventory } from './segment-inventory.ts';
import { LocalSegmentReader } from './segment-reader.ts';
import { SegmentWriter } from './segment-writer.ts';
import { testInit, testPart } from './testing-parts.ts';

const NEVER = new AbortController().signal;
const SEGMENTS = 30;
const WINDOW = 60_000;
const SWEEP = 5_000;

/** Thirty seconds of a camera in files of one second, the oldest as old as the window, and retention that is told the time by the test. */
const rig = async () => {
  const directory = await mkdtemp(join(tmpdir(), 'imageflow-eaten-'));
  const clock = new FakeClock();
  const journal = { append: (): void => undefined };
  const inventory = new SegmentInventory(journal);
  const init = testInit();
  const records: SegmentRecord[] = [];
  for (let i = 0; i < SEGMENTS; i++) {
    const parts = [0, 200, 400, 600, 800].map((ms) => testPart({ at: i * 1000 + ms, init, sessionStart: clock.now() - WINDOW }));
    const writer = await SegmentWriter.open(directory, parts[0]!, i, null);
    await writer.write(parts);
    const { record } = await writer.close(false);
    if (!record) throw new Error('not written');
    records.push(record);
    inventory.put(record);
  }
  // What was recorded since, so that no run gives up more than half of everything.
  for (let i = 0; i < 100; i++) inventory.put({ ...records[0]!, id: `cam/${String(clock.now() + 1e6 + i)}-later-${String(i)}`, start: clock.now() + 1e6 + i });
  const retention = new Retention(
    directory, { of: () => ({ windowMs: WINDOW, maxBytes: null }), minFreeBytes: 0, maxBytes: null, isKept: () => false }, { clock, logger: silentLogger(), inventory, journal },
  );
  const errors: string[] = [];
  const logger = pino({ level: 'error' }, { write: (line: string) => { errors.push((JSON.parse(line) as { msg: string }).msg); } });
  const files = new LocalSegments(directory);
  const reader = new LocalSegmentReader(files, logger);
  const range = { camera: 'cam', from: records[0]!.start, to: records.at(-1)!.start + 1000 };
  return {
    files, records, range, reader, errors,
    /** Takes pieces; between every `pieces` of them five seconds pass and retention sweeps. */
    playSlowly: async (read: AsyncIterable<Buffer>, pieces: number): Promise<{ readonly bytes: Buffer; readonly error: unknown }> => {
      const taken: Buffer[] = [];
      try {
        for await (const piece of read) {
          taken.push(Buffer.from(piece));
          if (taken.length % pieces !== 0) continue;
          clock.advance(SWEEP);
          await retention.sweep();
        }
      } catch (error) {
        return { bytes: Buffer.concat(taken), error };
      }
      return { bytes: Buffer.concat(taken), error: null };
    },
    async [Symbol.asyncDispose]() {
      await retention[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
};

const all = async (read: AsyncIterable<Buffer>): Promise<Buffer> => {
  const pieces: Buffer[] = [];
  for await (const piece of read) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
};

test.each([
  { name: 'one faster than retention is complete', pieces: 5, complete: true },
  { name: 'one that retention overtakes is cut short, and the log says so', pieces: 1, complete: false },
])('[D-16] a playback of what retention eats never has wrong bytes: $name', async ({ pieces, complete }) => {
  await using r = await rig();
  const file = await r.reader.playback(r.range, r.records, NEVER);
  const whole = await all(file.read(0, file.byteLength, NEVER));
  expect(whole.length).toBe(file.byteLength);
  const played = await r.playSlowly(file.read(0, file.byteLength, NEVER), pieces);
  expect(played.bytes.equals(whole.subarray(0, played.bytes.length))).toBe(true);
  if (complete) {
    expect([played.bytes.length, played.error, r.errors]).toEqual([whole.length, null, []]);
    return;
  }
  expect(played.bytes.length).toBeGreaterThan(whole.length / 4);
  expect(played.bytes.length).toBeLessThan(whole.length);
  expect(played.error).toBeInstanceOf(MediaError);
  expect(played.error).toMatchObject({ code: 'NOT_FOUND' });
  expect(r.errors).toEqual(['playback ended early: a recorded file is gone or short']);
  // Asked again it has another tag: what is gone is not in it.
  const again = await new LocalSegmentReader(r.files, silentLogger()).playback(r.range, r.records, NEVER);
  expect(again.etag).not.toBe(file.etag);
  expect(again.byteLength).toBeLessThan(file.byteLength);
});

test('[D-16] a fragmented playback that retention overtakes is cut short, and the log says so', async () => {
  await using r = await rig();
  const whole = await all(r.reader.fragments(r.range, r.records, NEVER));
  const played = await r.playSlowly(r.reader.fragments(r.range, r.records, NEVER), 5);
  expect(played.error).toMatchObject({ code: 'NOT_FOUND' });
  expect(r.errors).toEqual(['playback ended early: a recorded file is gone or short']);
  expect(played.bytes.length).toBeGreaterThan(whole.length / 4);
  expect(played.bytes.length).toBeLessThan(whole.length);
  expect(played.bytes.equals(whole.subarray(0, played.bytes.length))).toBe(true);
});
