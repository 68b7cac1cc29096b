import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import fc from 'fast-check';
import { create } from '@bufbuild/protobuf';
import { FakeClock } from '../core/testing-clock.ts';
import { silentLogger } from '../platform/logging.ts';
import { DesiredStateSchema } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import type { DesiredState } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import { DesiredStateStore, decodeDesiredState } from './desired-state-store.ts';

let folder: string;
const clock = new FakeClock();
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'if-state-')); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });
const open = (): DesiredStateStore => new DesiredStateStore({ path: join(folder, 'deep', 'state.bin'), logger: silentLogger(), clock });
const stateOf = (version: string, ...cameras: string[]): DesiredState =>
  create(DesiredStateSchema, {
    version, workerAddresses: ['unix:/w'],
    cameras: cameras.map((id) => ({ id, name: id, source: { case: 'file' as const, value: { url: 'a.mp4' } }, recording: 'always', detectors: [{ id: 'detect', model: 'm', fps: 15 }] })),
  });

test.each([
  [{ qos: 'low', priority: 9, bandwidthHint: 500_000 }, { qos: 'low', priority: 9, bandwidthHint: 500_000 }],
  [{ bandwidthHint: 0 }, {}],
  [{ qos: 'of a later version', priority: 99 }, { priority: 10 }],
  [{}, {}],
])('[EXT-2][EXT-4] %j of a camera are %j for the modules', (sent, expected) => {
  const store = open();
  store.apply(create(DesiredStateSchema, { version: '1', cameras: [{ id: 'a', name: 'a', recording: 'off', ...sent }] }));
  expect(store.camera('a')).toEqual({ id: 'a', name: 'a', source: { type: 'push' }, detectors: [], recording: 'off', ...expected });
});

test('a state counts at once and is there after a restart, as the modules know it', async () => {
  const first = open();
  expect(first.version).toBe('');
  let told = 0;
  first.onChange(() => { told += 1; });
  first.apply(stateOf('1', 'line-1'));
  first.apply(stateOf('1', 'line-1'));
  first.apply(stateOf('2', 'line-1', 'line-2'));
  expect(told).toBe(2);
  await first[Symbol.asyncDispose]();
  const second = open();
  expect(second.version).toBe('2');
  expect(second.workerAddresses).toEqual(['unix:/w']);
  expect(second.camera('line-2')).toEqual({ id: 'line-2', name: 'line-2', source: { type: 'file', url: 'a.mp4' }, detectors: [{ id: 'detect', model: 'm', fps: 15, confidence: null }], recording: 'always' });
  expect(second.cameras()).toHaveLength(2);
});

test('[INF-6] a detector follows objects unless it is told not to', () => {
  const store = open();
  store.apply(create(DesiredStateSchema, { version: '1', cameras: [{ id: 'a', recording: 'off', detectors: [{ id: 'd', model: 'm', fps: 15 }, { id: 'e', model: 'm', fps: 15, trackingOff: true }] }] }));
  expect(store.camera('a')?.detectors).toEqual([{ id: 'd', model: 'm', fps: 15, confidence: null }, { id: 'e', model: 'm', fps: 15, confidence: null, tracking: false }]);
});

test('[REC-2] [D-9] windows, hours and what to keep are there after a restart; with no state at all nobody has said what to keep', async () => {
  const first = open();
  expect(first.kept).toBeUndefined();
  first.apply(create(DesiredStateSchema, {
    version: '1', kept: [{ camera: 'line-1', from: 1.5, to: 2 }], confirmedHold: 7,
    cameras: [{ id: 'line-1', recording: 'always', windowMinutes: 60, distributionOff: true, maxBytes: 1n << 40n, hours: { timezone: 'UTC', times: [{ days: [0, 6], from: 60, to: 30 }] } }],
  }));
  await first[Symbol.asyncDispose]();
  const second = open();
  expect(second.camera('line-1')).toMatchObject({ distribution: 'off', window: { minutes: 60, maxBytes: 2 ** 40 }, hours: { timezone: 'UTC', times: [{ days: [0, 6], from: 60, to: 30 }] } });
  expect(second.kept).toMatchObject([{ camera: 'line-1', from: 1.5, to: 2 }]);
  expect(second.confirmedHold).toBe(7);
});

test('waiting for a camera ends when it comes, or in time', async () => {
  const store = open();
  const there = store.waitFor('line-1', 1000);
  store.apply(stateOf('1', 'line-1'));
  expect((await there)?.id).toBe('line-1');
  const never = store.waitFor('line-9', 1000);
  clock.advance(1000);
  expect(await never).toBeUndefined();
  await store[Symbol.asyncDispose]();
});

test('a damaged file is as none, whatever is in it', () => {
  fc.assert(fc.property(fc.uint8Array(), (junk) => { expect(decodeDesiredState(Buffer.from(junk))).toBeUndefined(); }));
  writeFileSync(join(folder, 'state.bin'), 'junk');
  const store = new DesiredStateStore({ path: join(folder, 'state.bin'), logger: silentLogger(), clock });
  expect(store.cameras()).toEqual([]);
});
