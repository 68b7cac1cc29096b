import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startChromium } from '../support/chromium.ts';
import { clip, ffmpegPush } from '../support/media.ts';
import { clumsyTargets, openAs, sideways } from '../support/pages.ts';
import { TestServer, until } from '../support/server.ts';

const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1280, height: 900 };

interface Alarm { readonly code: string; readonly message: string }
interface Stats { readonly stats?: { readonly detection?: { readonly decoder?: string | null } | null } | null }

test('[EXT-8] a server whose configured device is not there starts, decodes in software, and says so: as an alarm, in the camera\'s statistics and on its page', { timeout: 180_000 }, async () => {
  // Of macOS where the tests run on Linux, and the other way round: a device that no machine has.
  await using server = await TestServer.start({ env: { IMAGEFLOW_EXTRACTOR_HARDWARE: process.platform === 'darwin' ? 'vaapi' : 'videotoolbox' } });
  const alarms = async (): Promise<readonly Alarm[]> => (await server.request<{ items: Alarm[] }>('GET', '/v1/alarms')).items;
  await until('the alarm', async () => (await alarms()).some(({ code }) => code === 'hardware_unavailable'));
  expect((await alarms()).map(({ message }) => message)).toEqual([expect.stringMatching(/^extractor\.hardware is \w+, which cannot be used: .*\. Video is decoded in software\.$/)]);

  const camera = await server.addCamera('belt', { pipelines: [{ id: 'inspect-320', fps: 6 }] });
  await using _push = ffmpegPush(clip('vtest-720p30-baseline.mp4'), server.rtspUrl(camera), { loop: true });
  await until('what decodes it', async () => (await server.request<Stats>('GET', '/v1/cameras/belt')).stats?.detection?.decoder === 'software', 60_000);
  expect(await server.metric('imageflow_decoders_active', { camera: 'belt' })).toBe(1);

  await using browser = await startChromium({ viewport: PHONE });
  const page = await browser.context.newPage();
  await openAs(page, server, '/cameras/belt');
  await expect.poll(() => page.locator('.detectors').innerText().catch(() => ''), { timeout: 60_000 }).toContain('Pictures are decoded in software.');
  for (const [name, size] of [['phone', PHONE], ['desktop', DESKTOP]] as const) {
    await page.setViewportSize(size);
    expect(await sideways(page)).toBeLessThanOrEqual(0);
    expect(await clumsyTargets(page)).toEqual([]);
    const folder = process.env['TEST_SCREENSHOTS'];
    if (folder !== undefined) await page.screenshot({ path: join(folder, `hardware-${name}.png`), fullPage: true });
  }
});
