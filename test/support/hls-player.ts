/** hls.js in a real page, as an integrator would use it. */
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

interface Hls { loadSource(url: string): void; attachMedia(video: HTMLVideoElement): void; on(event: string, listener: (event: string, data: { fatal: boolean; details: string }) => void): void; readonly latency: number; destroy(): void }
interface HlsPage { readonly Hls: new (config: object) => Hls; hlsErrors: string[]; hls?: Hls }

export interface HlsPlayed {
  /** Seconds of media. */
  readonly played: number;
  readonly decoded: number;
  readonly dropped: number;
  readonly width: number;
  /** Seconds behind the newest frame, at the end. */
  readonly latency: number;
  readonly errors: readonly string[];
}

/** Plays a live playlist in the page's only <video>, instead of what played before; resolves when it plays. */
export const playHls = async (page: Page, url: string, token: string): Promise<void> => {
  await page.evaluate(() => { (globalThis as unknown as HlsPage).hls?.destroy(); }); // it outlives its element
  await page.setContent('<video muted autoplay></video>');
  await page.addScriptTag({ path: createRequire(import.meta.url).resolve('hls.js/dist/hls.min.js') });
  await page.evaluate(async ([playlist, bearer]) => {
    const scope = globalThis as unknown as HlsPage;
    const video = document.querySelector('video');
    if (!video) throw new Error('no video');
    const errors: string[] = [];
    scope.hlsErrors = errors;
    const hls = new scope.Hls({ lowLatencyMode: true, xhrSetup: (xhr: XMLHttpRequest) => { xhr.setRequestHeader('Authorization', `Bearer ${String(bearer)}`); } });
    scope.hls = hls;
    hls.on('hlsError', (_event, data) => { errors.push(data.details); });
    hls.loadSource(String(playlist));
    hls.attachMedia(video);
    await new Promise((resolve) => { video.addEventListener('playing', resolve, { once: true }); });
  }, [url, token]);
};

/** Watches what plays for `seconds` of media. */
export const watchHls = (page: Page, seconds: number): Promise<HlsPlayed> =>
  page.evaluate(async (length) => {
    const video = document.querySelector('video');
    const { hls, hlsErrors } = globalThis as unknown as HlsPage;
    if (!video || !hls) throw new Error('nothing plays');
    // The first second or two a player looks for its place at the live edge, in jumps: not part of what is measured.
    const settled = video.currentTime + 2;
    while (video.currentTime < settled) await new Promise((resolve) => { video.addEventListener('timeupdate', resolve, { once: true }); });
    const from = video.currentTime;
    const before = video.getVideoPlaybackQuality();
    while (video.currentTime < from + length) await new Promise((resolve) => { video.addEventListener('timeupdate', resolve, { once: true }); });
    const after = video.getVideoPlaybackQuality();
    return {
      played: video.currentTime - from, decoded: after.totalVideoFrames - before.totalVideoFrames, dropped: after.droppedVideoFrames - before.droppedVideoFrames,
      width: video.videoWidth, latency: hls.latency, errors: hlsErrors,
    };
  }, seconds);
