import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { RangePlayer } from './range-player.ts';

/** As much of a `<video>` as the player touches. */
class FakeVideo extends EventTarget {
  src = '';
  currentTime = 0;
  duration = NaN;
  playbackRate = 1;
  seeking = false;
  readyState = 4;
  paused = true;
  play(): Promise<void> { this.paused = false; this.dispatchEvent(new Event('play')); return Promise.resolve(); }
  pause(): void { this.paused = true; this.dispatchEvent(new Event('pause')); }
  load(): void { this.currentTime = 0; }
  removeAttribute(): void { this.src = ''; }
}

const tokens = new Map<string, string>();
beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('localStorage', { getItem: (key: string) => tokens.get(key) ?? null });
  vi.stubGlobal('window', globalThis);
  vi.stubGlobal('HTMLMediaElement', { HAVE_CURRENT_DATA: 2 });
  tokens.clear();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const start = (earlier: { from: number; to: number } | null = null, later: { from: number; to: number } | null = null) => {
  const video = new FakeVideo();
  const player = new RangePlayer({ video: video as unknown as HTMLVideoElement, url: (from, to) => `${String(from)}-${String(to)}`, after: () => later, before: () => earlier, onState: () => undefined });
  return { video, player };
};

test('[REC-5] a range that was opened exactly ends there; another goes on with what follows', () => {
  const { video, player } = start(null, { from: 20_000, to: 30_000 });
  player.open({ from: 0, to: 10_000 }, { exact: true });
  video.dispatchEvent(new Event('ended'));
  expect([video.src, player.state.playing]).toEqual(['0-10000', false]);
  player.open({ from: 0, to: 10_000 });
  video.dispatchEvent(new Event('ended'));
  expect([video.src, player.state.playing]).toEqual(['20000-30000', true]);
});

test('[REC-5] backwards it goes from picture to picture, at its speed, into the range before, and stands still at the beginning', () => {
  const { video, player } = start({ from: 50_000, to: 60_000 });
  player.open({ from: 100_000, to: 110_000 }, { at: 100_700 });
  player.setRate(-2);
  expect([video.paused, player.state.playing, player.state.rate]).toEqual([true, true, -2]);
  vi.advanceTimersByTime(150);
  expect(video.currentTime).toBeCloseTo(0.4);
  video.seeking = true; // the picture is not there yet: no other is asked for
  vi.advanceTimersByTime(1500);
  expect(video.currentTime).toBeCloseTo(0.4);
  video.seeking = false;
  vi.advanceTimersByTime(450);
  expect(video.src).toBe('50000-60000');
  expect([player.state.rate, video.paused]).toEqual([-2, true]);
  const alone = start(null);
  alone.player.open({ from: 0, to: 1000 });
  alone.player.setRate(-1);
  vi.advanceTimersByTime(1000);
  expect([alone.player.state.playing, alone.player.state.rate, alone.video.currentTime]).toEqual([false, 1, 0]);
});

test('[REC-5] faster and slower go through the speeds and stop at the last', () => {
  const { video, player } = start();
  player.open({ from: 0, to: 10_000 });
  for (let i = 0; i < 9; i++) player.changeRate(1);
  expect(video.playbackRate).toBe(16);
  for (let i = 0; i < 9; i++) player.changeRate(-1);
  expect(video.playbackRate).toBe(0.25);
});

test('[REC-5] a moment inside the range is sought there, one outside is not; frames are stepped standing still', () => {
  const { video, player } = start();
  player.open({ from: 10_000, to: 20_000 });
  expect([player.seek(15_000), video.currentTime]).toEqual([true, 5]);
  expect([player.seek(20_000), player.seek(9_000)]).toEqual([false, false]);
  player.step(1);
  expect([video.paused, video.currentTime]).toEqual([true, 5 + 1.5 / 30]);
});

test('a range that fails because its token is out of date is asked for once more with the new one; one that fails otherwise says so', () => {
  tokens.set('imageflow.access_token', 'old');
  const { video, player } = start();
  player.open({ from: 0, to: 10_000 });
  video.currentTime = 4;
  video.dispatchEvent(new Event('timeupdate'));
  tokens.set('imageflow.access_token', 'new');
  video.currentTime = 0;
  video.dispatchEvent(new Event('error'));
  expect([player.state.failure, video.currentTime, video.paused]).toEqual([null, 4, false]);
  video.dispatchEvent(new Event('error'));
  expect(player.state.failure).toContain('could not be played');
});

test('[REC-5] a key that steps again before the browser has shown the picture goes on from there', () => {
  let shown: VideoFrameRequestCallback | undefined;
  const video = Object.assign(new FakeVideo(), { requestVideoFrameCallback: (callback: VideoFrameRequestCallback) => { shown = callback; return 0; } });
  const player = new RangePlayer({ video: video as unknown as HTMLVideoElement, url: () => 'a', after: () => null, before: () => null, onState: () => undefined });
  const show = (mediaTime: number): void => { shown?.(0, { mediaTime } as VideoFrameCallbackMetadata); };
  player.open({ from: 0, to: 10_000 });
  for (const picture of [30, 31, 32]) show(picture / 30);
  player.step(1);
  expect(video.currentTime).toBeCloseTo(33.5 / 30);
  player.step(1);
  expect(video.currentTime).toBeCloseTo(34.5 / 30);
  show(34 / 30);
  player.step(-1);
  expect(video.currentTime).toBeCloseTo(33.5 / 30);
  player.step(-1);
  expect(video.currentTime).toBeCloseTo(32.5 / 30);

  // At the end every further step stays there, and one back goes back.
  video.duration = 40 / 30;
  show(39 / 30);
  for (let i = 0; i < 3; i++) player.step(1);
  player.step(-1);
  expect(video.currentTime).toBeCloseTo(38.5 / 30);
});
