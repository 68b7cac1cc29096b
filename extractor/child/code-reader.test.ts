import { Worker } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import { silentLogger } from '../../platform/logging.ts';
import { codePicture, pgmOf } from '../../test/support/code-picture.ts';
import { seededRandom } from '../../test/support/random.ts';
import { until } from '../../test/support/server.ts';
import { CodeReader, IDLE_MS, PAUSE_MS, READ_DEADLINE_MS, START_DEADLINE_MS } from './code-reader.ts';
import type { CodeOutcome } from './code-reader.ts';
import type { ToCodeThread } from './code-thread-protocol.ts';

/** Threads that do what a picture's first byte says: 0 read it, 1 hang, 2 die, 3 throw, 4 say that the library failed; the code they read is its second byte. */
const OBEDIENT = `
const { parentPort } = require('node:worker_threads');
parentPort.on('message', ({ picture }) => {
  if (picture[0] === 1) for (;;);
  if (picture[0] === 2) process.exit(3);
  if (picture[0] === 3) throw new Error('broken');
  if (picture[0] === 4) parentPort.postMessage({ type: 'failed', error: 'memory access out of bounds' });
  else parentPort.postMessage({ type: 'read', codes: [{ format: 'qr', text: String(picture[1]), bytes: null, corners: [] }] });
});
parentPort.postMessage({ type: 'ready' });
`;
const [READS, HANGS, DIES, THROWS, FAILS] = [0, 1, 2, 3, 4] as const;
const picture = (does: number, text = 0): ToCodeThread => ({ picture: Uint8Array.of(does, text), width: 1, height: 1, formats: ['qr'] });

afterEach(() => { for (const reader of readers.splice(0)) reader[Symbol.dispose](); });
const readers: CodeReader[] = [];

const setUp = (script: string | null = OBEDIENT) => {
  const clock = new FakeClock();
  const threads: Worker[] = [];
  const ended: number[] = [];
  const reader = new CodeReader({
    clock, logger: silentLogger(),
    ...(script !== null && {
      start: () => {
        const worker = new Worker(script, { eval: true });
        worker.once('exit', () => { ended.push(threads.indexOf(worker)); });
        threads.push(worker);
        return worker;
      },
    }),
  });
  readers.push(reader);
  const outcomes: (readonly [number, string])[] = [];
  const offer = (camera: number, given: ToCodeThread): void => {
    reader.offer(camera, given, (outcome: CodeOutcome) => { outcomes.push([camera, outcome.type === 'read' ? outcome.codes.map(({ text }) => text).join(',') : outcome.reason]); });
  };
  return { clock, threads, ended, reader, outcomes, offer };
};

test('[PRO-2] of each camera the newest picture waits, in the turn of the one it takes the place of; the others are told so', async () => {
  const { offer, outcomes, threads } = setUp();
  offer(1, picture(READS, 10));
  offer(2, picture(READS, 20));
  offer(1, picture(READS, 11));
  offer(3, picture(READS, 30));
  offer(2, picture(READS, 21));
  await until('all are read', () => outcomes.length === 5);
  expect(outcomes).toEqual([[1, 'superseded'], [2, 'superseded'], [1, '11'], [2, '21'], [3, '30']]);
  expect(threads.length).toBe(1);
});

test('[PRO-2] a picture that is not read in time costs its thread, which is ended even where it hangs; the others are read by the next one', async () => {
  const { offer, outcomes, threads, ended, clock } = setUp();
  offer(1, picture(HANGS));
  await until('it is being read', () => clock.waiting.some((ms) => ms === READ_DEADLINE_MS));
  offer(2, picture(READS, 20));
  clock.advance(READ_DEADLINE_MS);
  expect(outcomes).toEqual([[1, 'deadline']]);
  await until('it has ended', () => ended.length === 1);
  expect(threads.length).toBe(1);
  clock.advance(PAUSE_MS);
  await until('the other is read', () => outcomes.length === 2);
  expect(outcomes[1]).toEqual([2, '20']);
  expect(threads.length).toBe(2);
});

test.each([['dies', DIES], ['throws', THROWS], ['has a library that fails', FAILS]])('[PRO-2] a thread that %s is replaced, after a pause that grows until a picture is read again', async (_how, does) => {
  const { offer, outcomes, threads, clock } = setUp();
  for (const [i, pause] of [PAUSE_MS, 2 * PAUSE_MS, 4 * PAUSE_MS].entries()) {
    offer(1, picture(does));
    await until('it is gone', () => outcomes.length === i + 1);
    expect(outcomes[i]).toEqual([1, 'failed']);
    expect(clock.waiting).toEqual([pause]);
    if (i < 2) clock.advance(pause);
  }
  offer(1, picture(READS, 7));
  expect(threads.length).toBe(3);
  clock.advance(4 * PAUSE_MS);
  await until('it is read', () => outcomes.length === 4);
  expect(outcomes[3]).toEqual([1, '7']);
  offer(1, picture(does));
  await until('it is gone', () => outcomes.length === 5);
  expect(clock.waiting).toEqual([PAUSE_MS]);
});

test('[PRO-2] a camera whose pictures cost threads waits longer and longer, and the others are read meanwhile', async () => {
  const { offer, outcomes, threads, clock } = setUp();
  const failed = async (times: number): Promise<void> => { await until('it is gone', () => outcomes.filter(([, outcome]) => outcome === 'failed').length === times); };
  const read = async (text: number): Promise<void> => { await until('it is read', () => outcomes.at(-1)?.[1] === String(text)); };
  offer(1, picture(DIES));
  await failed(1);
  clock.advance(PAUSE_MS);
  offer(1, picture(DIES));
  await failed(2);
  offer(2, picture(READS, 20));
  clock.advance(2 * PAUSE_MS);
  await read(20);
  offer(1, picture(DIES));
  await failed(3);
  // It has to wait four times as long as the others now.
  offer(1, picture(DIES));
  clock.advance(PAUSE_MS);
  for (const text of [21, 22, 23]) {
    offer(2, picture(READS, text));
    await read(text);
  }
  expect(threads.length).toBe(4);
  clock.advance(3 * PAUSE_MS);
  await failed(4);
  expect(threads.length).toBe(4);
});

test('[PRO-2] a thread that does not start is given up, and tried again', () => {
  const { offer, outcomes, threads, clock } = setUp('setInterval(() => undefined, 1000);');
  offer(1, picture(READS));
  expect(clock.waiting).toEqual([START_DEADLINE_MS]);
  clock.advance(START_DEADLINE_MS);
  clock.advance(PAUSE_MS);
  expect([threads.length, outcomes]).toEqual([2, []]);
});

test('[PRO-2] a camera that is gone waits for nothing, and without pictures for a minute there is no thread', async () => {
  const { offer, outcomes, reader, threads, ended, clock } = setUp();
  offer(1, picture(READS, 1));
  offer(2, picture(READS, 2));
  reader.forget(2);
  await until('the first is read', () => outcomes.length === 1);
  expect(clock.waiting).toEqual([IDLE_MS]);
  clock.advance(IDLE_MS);
  await until('it has ended', () => ended.length === 1);
  expect([outcomes, clock.waiting]).toEqual([[[1, '1']], []]);
  offer(1, picture(READS, 3));
  await until('another reads', () => outcomes.length === 2);
  expect(threads.length).toBe(2);
});

test('[PRO-2] the real thread reads codes, and takes no longer for a picture full of noise than it may', async () => {
  const { offer, outcomes } = setUp(null);
  const shown = await codePicture(640, 480, [{ content: 'WO-1', format: 'QRCode', side: 200, x: 300, y: 200 }]);
  const random = seededRandom(3);
  const noise = { width: 1365, height: 768, pixels: Uint8Array.from({ length: 1365 * 768 }, () => (random() < 0.5 ? 0 : 255)) };
  for (const each of [noise, shown]) {
    const before = outcomes.length;
    offer(1, { picture: pgmOf(each), width: each.width, height: each.height, formats: ['qr', 'data_matrix', 'aztec', 'pdf417', 'code_128'] });
    await until('it is read', () => outcomes.length > before);
  }
  expect(outcomes).toEqual([[1, ''], [1, 'WO-1']]);
});
