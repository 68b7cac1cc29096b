import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { BrowserContext } from 'playwright-core';

const ARGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--autoplay-policy=no-user-gesture-required', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
  '--disable-features=WebRtcHideLocalIpsWithMdns', '--disable-backgrounding-occluded-windows', '--disable-renderer-backgrounding', '--disable-background-timer-throttling',
];

export interface Chromium extends AsyncDisposable {
  readonly context: BrowserContext;
}

/** A real Chromium with a profile of its own. `camera`: an MJPEG or Y4M file that plays as its camera. */
export const startChromium = async (options: { readonly camera?: string; readonly args?: readonly string[]; readonly viewport?: { width: number; height: number } } = {}): Promise<Chromium> => {
  const profile = await mkdtemp(join(tmpdir(), 'imageflow-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    headless: true,
    viewport: options.viewport ?? { width: 1280, height: 800 },
    args: [...ARGS, ...(options.camera ? [`--use-file-for-fake-video-capture=${options.camera}`] : []), ...(options.args ?? [])],
  });
  return {
    context,
    async [Symbol.asyncDispose]() {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
};
