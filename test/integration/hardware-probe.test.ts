import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { probeInProcess } from '../../extractor/hardware/hardware-probe.ts';

const DEVICE = { type: 'vaapi', device: '/dev/null' } as const;
const PARENT = JSON.stringify(join(import.meta.dirname, '..', '..', 'platform', 'parent-process.ts'));
const GOOD = "parent.send({ type: 'verdict', decode: ['h264'], encode: false, failures: {} });";

let folder: string;
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'if-probe-')); });
afterAll(() => { rmSync(folder, { recursive: true, force: true }); });

/** A driver that does this to the process that tries it. */
const driver = (name: string, does: string): string => {
  const path = join(folder, `${name}.ts`);
  writeFileSync(path, `import { exitWithParent } from ${PARENT};\nconst parent = exitWithParent();\n${does}\n`);
  return path;
};

test('[EXT-8] the real process tries a device that is none, and says what FFmpeg says', async () => {
  expect(await probeInProcess(systemClock, DEVICE, new AbortController().signal)).toEqual({ decode: [], encode: false, failures: { device: expect.stringMatching(/^opening vaapi \/dev\/null: ./) as string } });
});

test.each([
  ['passes', GOOD, { decode: ['h264'], encode: false, failures: {} }],
  ['crashes', 'process.kill(process.pid, "SIGSEGV"); setInterval(() => undefined, 1000);', { decode: [], encode: false, failures: { device: expect.stringMatching(/ended the process that tried it: .*SIGSEGV/) as string } }],
  ['passes and crashes when it is let go', `${GOOD} setTimeout(() => process.abort(), 50);`, { decode: [], encode: false, failures: { device: expect.stringMatching(/SIGABRT/) as string } }],
  ['says nothing', '', { decode: [], encode: false, failures: { device: expect.stringMatching(/exited with code 0/) as string } }],
] as const)('[EXT-7] [EXT-8] a driver that %s takes nothing else with it', async (name, does, verdict) => {
  expect(await probeInProcess(systemClock, DEVICE, new AbortController().signal, driver(name, does))).toEqual(verdict);
});

test('[EXT-7] [EXT-8] a driver that hangs is ended after its time, and one that is tried when the edge stops, at once', async () => {
  const hangs = driver('hangs', 'setInterval(() => undefined, 1000);');
  const clock = new FakeClock();
  const late = probeInProcess(clock, DEVICE, new AbortController().signal, hangs);
  clock.advance(30_000);
  expect((await late).failures).toEqual({ device: 'its driver did not answer within 30 s' });
  const stop = new AbortController();
  const stopped = probeInProcess(systemClock, DEVICE, stop.signal, hangs);
  stop.abort();
  expect((await stopped).decode).toEqual([]);
});
