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

/** Plays a live playlist in the page's only <video>, instead of what played before; resolves when it plays. `settings` as hls.js takes them. */
export const playHls = async (page: Page, url: string, token: string, settings: object = { lowLatencyMode: true }): Promise<void> => {
  await page.evaluate(() => { (globalThis as unknown as HlsPage).hls?.destroy(); }); // it outlives its element
  await page.setContent('<video muted autoplay></video>');
  await page.addScriptTag({ path: createRequire(import.meta.url).resolve('hls.js/dist/hls.min.js') });
  await page.evaluate(async ([playlist, bearer, given]) => {
    const scope = globalThis as unknown as HlsPage;
    const video = document.querySelector('video');
    if (!video) throw new Error('no video');
    const errors: string[] = [];
    scope.hlsErrors = errors;
    const hls = new scope.Hls({ ...given, xhrSetup: (xhr: XMLHttpRequest) => { xhr.setRequestHeader('Authorization', `Bearer ${bearer}`); } });
    scope.hls = hls;
    hls.on('hlsError', (_event, data) => { errors.push(data.details); });
    hls.loadSource(playlist);
    hls.attachMedia(video);
    await new Promise((resolve) => { video.addEventListener('playing', resolve, { once: true }); });
  }, [url, token, settings] as const);
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

export interface DateRange {
  readonly id: string;
  readonly start: number;
  readonly end: number;
  /** Where the player begins it on the video's time line, seconds. */
  readonly place: number;
  readonly className: string;
  readonly count: number;
}

/** What a recorded playlist was, played from its beginning to its end. */
export interface VodPlayed {
  /** Null: it played to its end. */
  readonly error: string | null;
  readonly errors: readonly string[];
  readonly pictures: number;
  /** Seconds. */
  readonly duration: number;
  /** Where it began, in the playlist, and the wall time (Unix ms) shown there and at the end. */
  readonly begin: number;
  readonly firstDate: number;
  readonly lastDate: number;
  /** Every EXT-X-DATERANGE; times are Unix ms. */
  readonly dateRanges: readonly DateRange[];
}

interface VodHls extends Hls {
  readonly playingDate: Date | null;
  readonly levels: readonly { readonly details?: { readonly dateRanges: Readonly<Record<string, { readonly id: string; readonly startDate: Date; readonly startTime: number; readonly duration: number; readonly attr: Readonly<Record<string, string>> }>>; readonly startTimeOffset: number | null } }[];
}

/** Plays a recorded playlist from where it wants to begin, four times as fast as it was, with no credential but what its URL carries. */
export const playVod = async (page: Page, url: string): Promise<VodPlayed> => {
  await page.evaluate(() => { (globalThis as unknown as HlsPage).hls?.destroy(); });
  await page.setContent('<video muted></video>');
  await page.addScriptTag({ path: createRequire(import.meta.url).resolve('hls.js/dist/hls.min.js') });
  return await page.evaluate(async (playlist) => {
    const scope = globalThis as unknown as HlsPage;
    const video = document.querySelector('video');
    if (!video) throw new Error('no video');
    const errors: string[] = [];
    const hls = new scope.Hls({}) as VodHls;
    (scope as { hls?: Hls }).hls = hls;
    // A stall says how busy the machine is, nothing of the playlist.
    hls.on('hlsError', (_event, data) => { if (data.details !== 'bufferStalledError') errors.push(`${data.details}${data.fatal ? ' (fatal)' : ''}`); });
    hls.loadSource(playlist);
    hls.attachMedia(video);
    await new Promise((resolve) => { video.addEventListener('canplay', resolve, { once: true }); });
    // It may be able to play before it is where the playlist wants it to begin.
    const start = hls.levels[0]?.details?.startTimeOffset ?? 0;
    while (video.seeking || video.currentTime < start - 0.05) await new Promise((resolve) => { setTimeout(resolve, 20); });
    const begin = video.currentTime;
    const firstDate = hls.playingDate?.getTime() ?? NaN;
    video.playbackRate = 4;
    const error = await new Promise<string | null>((resolve) => {
      video.onended = () => { resolve(null); };
      video.onerror = () => { resolve(video.error?.message ?? 'error'); };
      let shown = -1;
      const timer = setInterval(() => {
        if (video.ended || video.error) { clearInterval(timer); return; }
        if (shown === video.currentTime) { clearInterval(timer); resolve(`stands still at ${String(shown)} s of ${String(video.duration)} s`); }
        shown = video.currentTime;
      }, 15_000);
      video.play().catch((reason: unknown) => { resolve(String(reason)); });
    });
    return {
      error, errors, begin, firstDate, lastDate: hls.playingDate?.getTime() ?? NaN, duration: video.duration, pictures: video.getVideoPlaybackQuality().totalVideoFrames,
      dateRanges: Object.values(hls.levels[0]?.details?.dateRanges ?? {}).map(({ id, startDate, startTime, duration: seconds, attr }) => ({
        id, start: startDate.getTime(), end: startDate.getTime() + seconds * 1000, place: startTime, className: attr['X-CLASS-NAME'] ?? '', count: Number(attr['X-COUNT']),
      })),
    };
  }, url);
};
