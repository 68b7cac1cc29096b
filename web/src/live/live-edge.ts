import type Hls from 'hls.js';

/** Of hls.js, for live video. By itself it would take each hold-up as a reason to stay a second farther behind for good. */
export const LIVE_HLS_SETTINGS = { lowLatencyMode: true, liveSyncMode: 'edge', liveSyncOnStallIncrease: 0 } as const;

/** Where a player is. Seconds. */
export interface LivePosition {
  /** Behind the newest picture there is, and what the playlist asks for. */
  readonly latency: number;
  readonly target: number;
  /** What it has of the time to come. */
  readonly buffered: number;
}

/** How often to look, milliseconds. */
export const LOOK_MS = 250;

/**
 * How fast to play. A player that took long to show its first picture, or was held up, would stay behind for good: it plays a little faster until it is where it
 * should be. hls.js does so by itself only with more than a second in its buffer, which so near to the live edge there never is. It stands by itself: it also goes into pages as text.
 */
export const catchUpRate = ({ latency, target, buffered }: LivePosition): number => {
  const behind = latency - target;
  if (!(behind > 0.05) || buffered < 0.25) return 1; // a new part comes every 0.2 s
  return behind > 0.25 ? 1.1 : 1.04;
};

/** To be called every `LOOK_MS` while it plays. */
export const followLiveEdge = ({ latency, targetLatency }: Pick<Hls, 'latency' | 'targetLatency'>, video: HTMLVideoElement): void => {
  const { buffered, currentTime } = video;
  const rate = catchUpRate({ latency, target: targetLatency ?? 0, buffered: buffered.length > 0 ? buffered.end(buffered.length - 1) - currentTime : 0 });
  if (video.playbackRate !== rate) video.playbackRate = rate;
};
