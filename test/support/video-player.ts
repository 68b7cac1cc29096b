/** A file in a real page's <video>, as somebody who downloads or links a recording would play it. */
import type { Page } from 'playwright-core';

export interface VideoPlayed {
  /** Null: it played to its end. */
  readonly error: string | null;
  /** Seconds. */
  readonly duration: number;
  readonly pictures: number;
  readonly audioBytes: number;
  /** Every size the picture had, in order. */
  readonly sizes: readonly string[];
}

/** Plays `url` from its beginning to its end, four times as fast as it was. */
export const playToEnd = (page: Page, url: string): Promise<VideoPlayed> =>
  page.evaluate(async (source) => {
    document.querySelector('video')?.remove();
    const video = document.createElement('video');
    video.muted = true;
    const sizes: string[] = [];
    video.onresize = () => { sizes.push(`${String(video.videoWidth)}x${String(video.videoHeight)}`); };
    document.body.append(video);
    const error = await new Promise<string | null>((resolve) => {
      video.onended = () => { resolve(null); };
      video.onerror = () => { resolve(video.error?.message ?? 'error'); };
      // One that stands still is an answer, too.
      let shown = -1;
      const timer = setInterval(() => {
        if (video.ended || video.error) { clearInterval(timer); return; }
        if (shown === video.currentTime) { clearInterval(timer); resolve(`stands still at ${String(shown)} s of ${String(video.duration)} s`); }
        shown = video.currentTime;
      }, 15_000);
      video.src = source;
      video.playbackRate = 4;
      video.play().catch((reason: unknown) => { resolve(String(reason)); });
    });
    const { audioBytes = 0 } = { audioBytes: (video as unknown as { webkitAudioDecodedByteCount?: number }).webkitAudioDecodedByteCount };
    return { error, duration: video.duration, pictures: video.getVideoPlaybackQuality().totalVideoFrames, audioBytes, sizes };
  }, url);
