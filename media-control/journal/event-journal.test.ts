import { appendFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import fc from 'fast-check';
import { fromBinary } from '@bufbuild/protobuf';
import { FakeClock } from '../../core/testing-clock.ts';
import { silentLogger } from '../../platform/logging.ts';
import { EventSchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import type { Event } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import { detectionsEvent, segmentEvent, sessionEvent } from '../testing-events.ts';
import { FileEventJournal } from './event-journal.ts';
import type { EventJournalOptions } from './event-journal.ts';
import { Lane } from './lane.ts';

let folder: string;
let clock: FakeClock;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'if-journal-')); clock = new FakeClock(Date.now()); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

const open = (change: Partial<EventJournalOptions> = {}): FileEventJournal =>
  new FileEventJournal({ directory: join(folder, 'j'), maxBytes: 1024 ** 3, keepHours: 24, clock, logger: silentLogger(), ...change });
const all = (journal: FileEventJournal, after = 0): { seq: number; event: Event }[] => {
  const reader = journal.reader(after);
  const events: { seq: number; event: Event }[] = [];
  for (let frames = reader.next(7, 5000); frames.length > 0; frames = reader.next(7, 5000)) events.push(...frames.map(({ seq, payload }) => ({ seq, event: fromBinary(EventSchema, payload) })));
  return events;
};
const names = (events: readonly { event: Event }[]): string[] =>
  events.map(({ event: { event } }) => (event.case === 'session' ? event.value.id : event.case === 'detections' ? (event.value.results[0]?.detections[0]?.className ?? '') : String(event.case)));
const lastFile = (lane: string): string => join(folder, 'j', lane, readdirSync(join(folder, 'j', lane)).sort().at(-1) ?? '');

test('sessions and segments are readable at once, detections within 50 ms, all in one order', () => {
  using journal = open();
  let told = 0;
  using _listening = journal.onWritten(() => { told += 1; });
  journal.append(detectionsEvent(1));
  expect(all(journal)).toEqual([]);
  journal.append(sessionEvent(2));
  expect(names(all(journal))).toEqual(['n1', 'session-2']);
  journal.append(detectionsEvent(3));
  clock.advance(50);
  expect(names(all(journal))).toEqual(['n1', 'session-2', 'n3']);
  expect(all(journal).map(({ seq }) => seq)).toEqual([1, 2, 3]);
  expect(told).toBe(2);
  expect(names(all(journal, 1))).toEqual(['session-2', 'n3']);
});

test('what can wait is written within a second, and never behind what came after it', () => {
  using journal = open();
  const later = (n: number): void => { journal.append(segmentEvent(n), 'later'); };
  later(1);
  expect(all(journal)).toEqual([]);
  clock.advance(900);
  later(2);
  clock.advance(100);
  expect(all(journal)).toHaveLength(2);
  later(3);
  journal.append(detectionsEvent(4)); // its 50 ms come first
  clock.advance(50);
  expect(names(all(journal))).toEqual(['segment', 'segment', 'segment', 'n4']);
  later(5);
  journal.append(segmentEvent(6));
  expect(all(journal)).toHaveLength(6);
});

test('while the disk refuses, it is asked once a second, however much comes', () => {
  using journal = open();
  journal.append(sessionEvent(1));
  const write = vi.spyOn(Lane.prototype, 'write').mockImplementation(() => { throw new Error('no space'); });
  try {
    journal.append(sessionEvent(2));
    write.mockClear();
    for (let n = 3; n < 103; n++) {
      journal.append(detectionsEvent(n));
      clock.advance(30);
    }
    expect(write.mock.calls.length).toBeLessThanOrEqual(3);
  } finally {
    write.mockRestore();
  }
  clock.advance(1_000);
  expect(all(journal)).toHaveLength(102);
});

test('an acknowledgement is put on disk when a whole file is done with, not each time', () => {
  const identity = join(folder, 'j', 'journal.json');
  using journal = open({ maxBytes: 16 * 4096 });
  const before = readFileSync(identity, 'utf8');
  let rewritten = 0;
  for (let n = 1, last = before; n <= 400; n++) {
    journal.append(sessionEvent(n));
    journal.acknowledge(journal.newestSeq);
    const now = readFileSync(identity, 'utf8');
    if (now !== last) rewritten++;
    last = now;
  }
  expect(rewritten).toBeGreaterThan(0);
  expect(rewritten).toBeLessThan(40);
});

test('a result without boxes has no row, and is not written', () => {
  using journal = open();
  journal.append(detectionsEvent(1, 0));
  journal.flush();
  expect(journal.newestSeq).toBe(0);
});

test('a reader goes on where it was while more is written, over many files', () => {
  using journal = open({ maxBytes: 16 * 4096 });
  const reader = journal.reader(0);
  const seen: number[] = [];
  for (let n = 1; n <= 400; n++) {
    journal.append(n % 3 === 0 ? sessionEvent(n) : detectionsEvent(n));
    if (n % 10 === 0) { journal.flush(); seen.push(...reader.next(1000, 1 << 20).map((frame) => frame.seq)); }
  }
  expect(seen).toEqual(Array.from({ length: 400 }, (_, i) => i + 1));
  expect(readdirSync(join(folder, 'j', 'detections')).length).toBeGreaterThan(1);
});

test('the identity stays, and numbers go on, after a stop', () => {
  const first = open();
  first.append(sessionEvent(1));
  first.append(detectionsEvent(2));
  first[Symbol.dispose]();
  using second = open();
  expect(second.journalId).toBe(first.journalId);
  second.append(sessionEvent(3));
  expect(all(second).map(({ seq }) => seq)).toEqual([1, 2, 3]);
});

test('after a kill numbers jump ahead, so that none is used twice', () => {
  const first = open();
  first.append(sessionEvent(1));
  // Not disposed: killed.
  using second = open();
  second.append(sessionEvent(2));
  expect(names(all(second))).toEqual(['session-1', 'session-2']);
  expect(second.newestSeq).toBeGreaterThan(first.newestSeq + 1000);
});

test('any cut or junk at the end costs only what was being written', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 60 }), fc.uint8Array({ maxLength: 60 }), (cut, junk) => {
    rmSync(join(folder, 'j'), { recursive: true, force: true });
    const first = open();
    for (let n = 1; n <= 5; n++) first.append(sessionEvent(n));
    const path = lastFile('events');
    truncateSync(path, statSync(path).size - cut);
    appendFileSync(path, junk);
    using second = open();
    second.append(sessionEvent(6));
    expect(names(all(second))).toEqual(['session-1', 'session-2', 'session-3', 'session-4', 'session-6']);
  }), { numRuns: 30 });
});

test('when it is full detections give way, counted and told in the journal itself; sessions and segments never', () => {
  const dropped: Record<string, number> = {};
  using journal = open({ maxBytes: 64 * 1024, onDropped: (type, count) => { dropped[type] = (dropped[type] ?? 0) + count; } });
  for (let n = 1; n <= 3000; n++) {
    journal.append(detectionsEvent(n));
    if (n % 50 === 0) journal.append(segmentEvent(n));
  }
  clock.advance(1000);
  expect(journal.bytes).toBeLessThanOrEqual(64 * 1024 + 4096);
  const events = all(journal);
  const kinds = (kind: string): number => events.filter(({ event }) => event.event.case === kind).length;
  expect(kinds('segment')).toBe(60);
  const told = events.reduce((sum, { event: { event } }) => sum + (event.case === 'gap' ? Number(event.value.results) : 0), 0);
  expect(dropped['detections']).toBe(told);
  expect(told + kinds('detections')).toBe(3000);
  expect(events.at(-1)?.seq).toBe(journal.newestSeq);
});

test('what is acknowledged stays for keep_hours, then goes; before that it makes room first', () => {
  using journal = open({ keepHours: 1 });
  journal.append(sessionEvent(1));
  journal.append(detectionsEvent(2));
  journal.flush();
  journal.acknowledge(2);
  clock.advance(59 * 60_000);
  expect(all(journal)).toHaveLength(2);
  clock.advance(62 * 60_000);
  expect(all(journal)).toHaveLength(0);
  expect(journal.deletedThrough).toBe(1);
  journal.append(sessionEvent(3));
  expect(names(all(journal))).toEqual(['session-3']);
});

test('acknowledged files make room without being counted as lost', () => {
  let dropped = 0;
  using journal = open({ maxBytes: 64 * 1024, onDropped: () => { dropped += 1; } });
  for (let n = 1; n <= 3000; n++) {
    journal.append(detectionsEvent(n));
    if (n % 20 === 0) { journal.flush(); journal.acknowledge(journal.newestSeq); }
  }
  expect(dropped).toBe(0);
  expect(journal.bytes).toBeLessThanOrEqual(64 * 1024 + 4096);
});

test('under a new id everything is told again', () => {
  using journal = open();
  journal.append(sessionEvent(1));
  journal.acknowledge(1);
  const before = journal.journalId;
  journal.startAnew();
  expect(journal.journalId).not.toBe(before);
  expect(journal.acknowledgedSeq).toBe(0);
  expect(names(all(journal))).toEqual(['session-1']);
});

test('a file that is damaged in its middle is passed over, with an alarm that names it, once', () => {
  using journal = open({ maxBytes: 64 * 1024 }); // small files
  for (let n = 1; n <= 100; n++) journal.append(sessionEvent(n));
  const files = readdirSync(join(folder, 'j', 'events')).sort();
  expect(files.length).toBeGreaterThan(1);
  const first = join(folder, 'j', 'events', files[0] ?? '');
  const bytes = readFileSync(first);
  bytes[Math.floor(bytes.length / 2)]! ^= 0xff;
  writeFileSync(first, bytes);
  const read = names(all(journal));
  expect(read).toContain('session-1');
  expect(read).toContain('session-100');
  expect(read.filter((name) => name.startsWith('session-')).length).toBeLessThan(100);
  const alarms = [...all(journal), ...all(journal)].flatMap(({ event: { event } }) => (event.case === 'alarm' ? [event.value] : []));
  expect(new Set(alarms.map(({ id }) => id))).toEqual(new Set([`journal-damaged/${files[0] ?? ''}`]));
  expect(alarms[0]?.code).toBe('journal_damaged');
});
