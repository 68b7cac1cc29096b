import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { clip } from '../support/media.ts';
import { KEY } from './rtsp-harness.ts';
import { startWhip } from './whip-harness.ts';

test('aiortc, an independent WebRTC stack, publishes H.264 by WHIP and ends by DELETE', async () => {
  await using edge = await startWhip();
  const script = new URL('../fixtures/aiortc/publish.py', import.meta.url).pathname;
  const publisher = promisify(execFile)('/usr/bin/python3', [script, `${edge.base}/whip/line-1`, KEY, clip('vtest-720p30-baseline.mp4'), '8'], { timeout: 60_000 });
  await Promise.race([edge.until(() => edge.units.length > 60), publisher]);
  expect(edge.stream.tracks?.video).toMatchObject({ codec: 'h264', width: 1280, height: 720 });
  const { stdout } = await publisher;
  expect(stdout).toBe('POST 201\nDELETE 200\n');
  expect(edge.stream.session).toMatchObject({ phase: 'ended', reason: 'DELETE' });
  expect(edge.units.filter((unit) => unit.randomAccess).length).toBeGreaterThanOrEqual(2); // the second was asked for
});
