/** Plays ranges of a camera's recordings in a `<video>`: forward at any speed, backwards picture by picture, and one frame at a time. Times are Unix ms. */
import { accessToken } from '../session.ts';

/** Negative: backwards. */
export const RATES = [0.25, 0.5, 1, 2, 4, 8, 16] as const;
/** What is asked for at once where only a beginning is given. */
export const CLIP_MS = 10 * 60_000;
const REVERSE_TICK_MS = 150;
/** Until two pictures have been seen. */
const USUAL_FRAME_S = 1 / 30;

export interface PlayerState {
  readonly range: { readonly from: number; readonly to: number } | null;
  readonly position: number | null;
  readonly playing: boolean;
  readonly rate: number;
  readonly failure: string | null;
}

export interface RangePlayerOptions {
  readonly video: HTMLVideoElement;
  readonly url: (from: number, to: number) => string;
  /** The range to go on with behind a moment that was played to; null: there is none yet. */
  readonly after: (at: number) => { readonly from: number; readonly to: number } | null;
  /** The range to go on with backwards. */
  readonly before: (at: number) => { readonly from: number; readonly to: number } | null;
  readonly onState: (state: PlayerState) => void;
}

export class RangePlayer implements Disposable {
  readonly #options: RangePlayerOptions;
  readonly #events = new AbortController();
  #state: PlayerState = { range: null, position: null, playing: false, rate: 1, failure: null };
  /** A range that was opened exactly ends where it ends. */
  #exact = false;
  #token: string | null = null;
  #timer = 0;
  #frameSeconds = USUAL_FRAME_S;
  /** Of the picture that is shown; null where the browser does not tell. */
  #shownAt: number | null = null;

  constructor(options: RangePlayerOptions) {
    this.#options = options;
    const { video } = options;
    const on = (name: string, listener: () => void): void => video.addEventListener(name, listener, { signal: this.#events.signal });
    on('timeupdate', () => this.#moved());
    on('seeking', () => this.#moved());
    on('play', () => this.#set({ playing: true }));
    on('pause', () => { if (this.#state.rate > 0) this.#set({ playing: false }); });
    on('ended', () => this.#ended());
    on('error', () => this.#failed());
    if ('requestVideoFrameCallback' in video) this.#watchFrames();
  }

  get state(): PlayerState { return this.#state; }

  /** Plays a range from `at`. `exact`: nothing behind it; else it goes on with what was recorded next. */
  open(range: { readonly from: number; readonly to: number }, options: { readonly at?: number; readonly exact?: boolean } = {}): void {
    const { video, url } = this.#options;
    const at = options.at ?? range.from;
    this.#exact = options.exact ?? false;
    this.#frameSeconds = USUAL_FRAME_S;
    this.#shownAt = null;
    this.#token = accessToken();
    if (this.#state.rate < 0) this.#rate(1);
    video.src = url(range.from, range.to);
    video.currentTime = (at - range.from) / 1000;
    this.#set({ range, position: at, failure: null });
    this.#play();
  }

  /** Goes to a moment of the range that is open; false when it is not in it. */
  seek(at: number): boolean {
    const { range } = this.#state;
    if (!range || at < range.from || at >= range.to || this.#state.failure !== null) return false;
    this.#options.video.currentTime = (at - range.from) / 1000;
    this.#play();
    return true;
  }

  toggle(): void {
    if (!this.#state.range) return;
    if (this.#state.rate < 0) { this.setRate(1); return; }
    if (this.#state.playing) this.#options.video.pause();
    else this.#play();
  }

  pause(): void {
    if (this.#state.rate < 0) this.#rate(1);
    this.#options.video.pause();
    this.#set({ playing: false });
  }

  /** Plays on at this speed; backwards when it is negative. */
  setRate(rate: number): void {
    this.#rate(rate);
    if (!this.#state.range) return;
    if (rate > 0) { this.#play(); return; }
    this.#options.video.pause();
    this.#set({ playing: true });
    this.#timer = window.setInterval(() => this.#back(), REVERSE_TICK_MS);
  }

  /** The next faster or slower speed in the direction it plays. */
  changeRate(by: 1 | -1): void {
    const { rate } = this.#state;
    const next = RATES[RATES.findIndex((each) => each === Math.abs(rate)) + by];
    if (next !== undefined) this.setRate(Math.sign(rate) * next);
  }

  /** One picture on or back, standing still. */
  step(by: 1 | -1): void {
    const { video } = this.#options;
    if (!this.#state.range) return;
    this.pause();
    const shownAt = this.#shownAt ?? video.currentTime;
    video.currentTime = Math.max(0, shownAt + (by > 0 ? 1.5 : -0.5) * this.#frameSeconds);
    // Where it will be: a key that is pressed again before the browser tells counts from there.
    // Behind the last picture there is none, and the browser will tell of none.
    const next = shownAt + by * this.#frameSeconds;
    if (this.#shownAt !== null && !(next > video.duration - this.#frameSeconds / 2)) this.#shownAt = Math.max(0, next);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#events.abort();
    this.#options.video.removeAttribute('src');
    this.#options.video.load();
  }

  #rate(rate: number): void {
    clearInterval(this.#timer);
    if (rate > 0) this.#options.video.playbackRate = rate;
    this.#set({ rate });
  }

  #play(): void {
    const { video } = this.#options;
    if (this.#state.rate < 0) return;
    video.playbackRate = this.#state.rate; // a new source begins at 1
    void video.play().catch(() => undefined); // a browser that wants a tap first leaves the button as it is
  }

  #back(): void {
    const { video, before } = this.#options;
    const { range, rate } = this.#state;
    if (!range || video.seeking || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return; // the picture before is still on its way
    const by = (REVERSE_TICK_MS / 1000) * -rate;
    if (video.currentTime > 0) { video.currentTime = Math.max(0, video.currentTime - by); return; }
    const earlier = this.#exact ? null : before(range.from);
    if (!earlier) { this.pause(); return; }
    this.open(earlier, { at: earlier.to - 100 });
    this.setRate(rate);
  }

  #moved(): void {
    const { range } = this.#state;
    if (range) this.#set({ position: range.from + this.#options.video.currentTime * 1000 });
  }

  #ended(): void {
    const { range } = this.#state;
    const next = range && !this.#exact ? this.#options.after(range.to) : null;
    if (next) this.open(next);
    else this.#set({ playing: false });
  }

  #failed(): void {
    const { range, position } = this.#state;
    if (!range) return;
    // The address holds a token, which may have gone out of date since.
    if (this.#token !== accessToken() && position !== null) { this.open(range, { at: position, exact: this.#exact }); return; }
    this.#set({ playing: false, failure: 'This range could not be played. It may have been deleted meanwhile.' });
  }

  #watchFrames(): void {
    const { video } = this.#options;
    const seen = (_now: number, { mediaTime }: VideoFrameCallbackMetadata): void => {
      const between = mediaTime - (this.#shownAt ?? mediaTime);
      // Two pictures of which one was sought are not neighbours.
      if (!video.paused && !video.seeking && between > 0.001 && between < this.#frameSeconds * 1.5) this.#frameSeconds = between;
      this.#shownAt = mediaTime;
      if (!this.#events.signal.aborted) video.requestVideoFrameCallback(seen);
    };
    video.requestVideoFrameCallback(seen);
  }

  #set(change: Partial<PlayerState>): void {
    this.#state = { ...this.#state, ...change };
    this.#options.onState(this.#state);
  }
}
