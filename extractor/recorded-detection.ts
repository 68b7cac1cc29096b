/**
 * Detectors on recorded pictures: the extractor's own child process, fed from files instead of a Hub, loses none and hurries nobody. Each segment is a
 * round of its own: everything is sent, the decoder flushed, and every picture that was offered must have been answered.
 */
import type { Clock } from '../core/clock.ts';
import { MediaError } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Logger } from '../platform/logging.ts';
import { ExtractorProcess } from './extractor-process.ts';
import type { Extractor, ExtractorProcessOptions } from './extractor-process.ts';
import type { RecordedRound, RoundOutcome } from './port.ts';
import { MAX_ACCESS_UNIT_BYTES } from './protocol.ts';
import type { FromCamera, StatsMessage } from './protocol.ts';

/** Pictures on their way at most; a decoder may hold back 16 of them (ITU-T H.264 A.3.1). */
const AHEAD = 24;
/** The child takes every picture it is to show: which those are is decided here. */
const EVERY_PICTURE_FPS = 100_000;
/** A recorded picture has time: it waits for the live ones. */
const DEADLINE: Milliseconds = 60_000;
const RETRY_PAUSE: Milliseconds = 500;
/** A worker that restarts needs some seconds. */
const ATTEMPTS = 20;
/** Nothing is heard of a child for so long: it hangs, or its worker does. */
const SILENCE: Milliseconds = 30_000;

export interface RecordedDetectionOptions {
  /** Who has the models. */
  readonly worker: { readonly address: string; readonly token?: string };
  readonly logLevel: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly spawn?: (options: ExtractorProcessOptions) => Flushable;
}

export type Flushable = Omit<Extractor, 'setPictures' | 'requestStill' | 'setBurnIn' | 'requestKeyframe' | 'setHardware' | 'setWorkers'> & Pick<ExtractorProcess, 'flush'>;

/** The worker, or the way to it, was gone for a moment: the round begins anew. */
class Interrupted extends Error {}

/**
 * Whether a detector of so many pictures a second sees a picture: the first of each interval of media time. It depends on the picture alone, so the
 * same pictures are chosen wherever a range begins. Times in ticks of `clockRate`.
 */
export const isChosen = (pts: number, duration: number, clockRate: number, fps: number): boolean =>
  duration * fps >= clockRate * 0.98 || Math.floor((pts * fps) / clockRate) !== Math.floor(((pts - duration) * fps) / clockRate);

export class RecordedDetection implements AsyncDisposable {
  readonly #options: RecordedDetectionOptions;
  #extractor: Flushable | undefined;
  #listener: ((message: FromCamera | 'crashed') => void) | undefined;
  /** Each round is a camera of its own to the child: what is said of an earlier one is not mistaken for this one. */
  #handle = 0;

  constructor(options: RecordedDetectionOptions) {
    this.#options = options;
  }

  /** One round at a time. Throws what `signal` is aborted with, NOT_FOUND (the file has gone), UNAVAILABLE (no worker), FAILED_PRECONDITION (a model refuses). */
  async detect(round: RecordedRound, signal: AbortSignal): Promise<RoundOutcome> {
    for (let attempt = 1; ; attempt++) {
      signal.throwIfAborted();
      try {
        return await this.#round(round, signal);
      } catch (error) {
        if (!(error instanceof Interrupted)) throw error;
        if (attempt >= ATTEMPTS) throw new MediaError('UNAVAILABLE', `no detector answers: ${error.message}`, { reason: 'NO_WORKER' });
        await this.#pause(signal);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#extractor?.[Symbol.asyncDispose]();
    this.#extractor = undefined;
  }

  async #round({ camera, pictures, detectors, fps, from, to }: RecordedRound, signal: AbortSignal): Promise<RoundOutcome> {
    const extractor = (this.#extractor ??= this.#spawn());
    const run = new Round(this.#options.clock, signal);
    const handle = this.#handle++;
    this.#listener = (message) => { if (message === 'crashed' || message.handle === handle) run.take(message); };
    try {
      extractor.setCamera({
        handle, camera, clockRate: pictures.clockRate, codec: { codec: 'h264', sps: pictures.sps.toString('base64'), pps: pictures.pps.toString('base64') },
        // A segment is a round of its own, so an object would have another id in each: none is better.
        detectors: detectors.map(({ id, model, confidence }) => ({ id, model, confidence, fps: EVERY_PICTURE_FPS, tracking: false })), lastTrack: 0,
      });
      const { samples, clockRate } = pictures;
      let i = 0;
      for await (const data of pictures.read()) {
        const sample = samples[i++];
        if (!sample || data.length > MAX_ACCESS_UNIT_BYTES) continue;
        const { frame, pts, wall, randomAccess, duration } = sample;
        const shown = wall >= from && wall < to && isChosen(pts, duration, clockRate, fps);
        if (!extractor.send(handle, { frame, pts, wall, randomAccess, data }, !shown)) await extractor.drained();
        if (shown) await run.room(AHEAD, detectors.length);
        run.check();
      }
      extractor.flush(handle);
      return run.outcome(await run.done(), detectors.map(({ id }) => id));
    } finally {
      this.#listener = undefined;
      extractor.removeCamera(handle); // what is still on its way comes back to nobody
    }
  }

  #spawn(): Flushable {
    const { worker, logLevel, clock, logger, spawn } = this.#options;
    const options: ExtractorProcessOptions = {
      hello: { workers: [worker], deadlineMs: DEADLINE, keepAll: true }, logLevel, clock, logger,
      onMessage: (message) => { if (message.type !== 'reports' && message.type !== 'models') this.#listener?.(message); },
      onCrash: () => {
        this.#extractor = undefined;
        this.#listener?.('crashed');
      },
    };
    return spawn ? spawn(options) : new ExtractorProcess(options);
  }

  #pause(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer[Symbol.dispose]();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = this.#options.clock.after(RETRY_PAUSE, done);
      signal.addEventListener('abort', done);
    });
  }
}

/** What has been answered in one round. */
class Round {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #results: RoundOutcome['results'][number][] = [];
  #expected = 0;
  /** Pictures that will never be shown, as far as it is known. */
  #lost = 0;
  #decoded = 0;
  #offered: number | undefined;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock;
    this.#signal = signal;
  }

  take(message: FromCamera | 'crashed'): void {
    if (message === 'crashed') this.#failure ??= new Interrupted('the decoder ended');
    else if (message.type === 'result') this.#results.push({ detector: message.detector, result: message.result });
    else if (message.type === 'flushed') this.#offered = message.offered;
    else if (message.type === 'stats') this.#takeStats(message);
    this.#wake?.();
  }

  /** Throws what ended the round. */
  check(): void {
    this.#signal.throwIfAborted();
    if (this.#failure) throw this.#failure;
  }

  /** Counts one more picture with its answers, and waits while more than `most` pictures are outstanding. */
  async room(most: number, answers: number): Promise<void> {
    this.#expected += answers;
    while ((this.#expected - this.#results.length) / answers - this.#lost > most) await this.#change();
  }

  /** Waits until the child was flushed and all that was offered is answered; how many pictures it was shown in all. */
  async done(): Promise<number> {
    while (this.#offered === undefined || this.#results.length < this.#offered) await this.#change();
    this.check();
    return this.#expected;
  }

  outcome(expected: number, detectors: readonly string[]): RoundOutcome {
    const order = new Map(detectors.map((id, i) => [id, i]));
    const results = this.#results.toSorted((a, b) => a.result.frame.seq - b.result.frame.seq || (order.get(a.detector) ?? 0) - (order.get(b.detector) ?? 0));
    return { results, shown: results.length / detectors.length, undecodable: (expected - results.length) / detectors.length, decoded: this.#decoded };
  }

  #takeStats({ decodedFrames, skipped }: StatsMessage): void {
    this.#decoded += decodedFrames;
    const { worker_lost = 0, deadline = 0, no_credit = 0, refused = 0, decoder_error = 0, decoder_restart = 0 } = skipped;
    this.#lost += decoder_error + decoder_restart;
    if (worker_lost + deadline + no_credit > 0) this.#failure ??= new Interrupted('the worker is not there, or has not got the model');
    if (refused > 0) this.#failure ??= new MediaError('FAILED_PRECONDITION', 'the worker refuses the pictures of a model; its log says why', { reason: 'MODEL_REFUSES' });
  }

  /** Until a message comes. Throws what ended the round, and Interrupted when nothing is heard for long. */
  async #change(): Promise<void> {
    this.check();
    const { promise, resolve } = Promise.withResolvers<'changed' | 'silent'>();
    this.#wake = () => { resolve('changed'); };
    using _timer = this.#clock.after(SILENCE, () => { resolve('silent'); });
    this.#signal.addEventListener('abort', this.#wake);
    try {
      if ((await promise) === 'silent') throw new Interrupted('nothing was heard for half a minute');
    } finally {
      this.#signal.removeEventListener('abort', this.#wake);
      this.#wake = undefined;
    }
    this.check();
  }
}
