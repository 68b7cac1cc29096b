import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import type { CameraStream, Publication, PublisherDriver, TransportStats } from '../port.ts';
import { StreamTimeline } from '../timeline/stream-timeline.ts';
import { resolveClip } from './clip-path.ts';
import { Mp4Clip, VIDEO_RATE } from './mp4-clip.ts';
import type { ClipSample } from './mp4-clip.ts';

const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 30_000;
/** Further behind real time than this (a suspended machine), it does not catch up. */
const MAX_BEHIND_MS = 2_000;

export interface FileSourceOptions {
  readonly stream: CameraStream;
  readonly url: string;
  /** `sources.file_dir`. */
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told why the source does not run, and with null that it does again: for an alarm. */
  readonly onProblem: (problem: string | null) => void;
}

/**
 * A camera whose pictures come from a file, played in a loop and in real time with continuous timestamps. Samples are published as they
 * lie in the file: parameter sets stand in the tracks, as after an RTSP publisher's SDP, and are not repeated in-band.
 * Disposing stops it; whatever fails is tried again, after 1 s, 2 s, 4 s … 30 s.
 */
export class FileSource implements Disposable {
  readonly #options: FileSourceOptions;
  readonly #abort = new AbortController();
  #retryMs = FIRST_RETRY_MS;

  constructor(options: FileSourceOptions) {
    this.#options = options;
    void this.#run();
  }

  get url(): string {
    return this.#options.url;
  }

  [Symbol.dispose](): void {
    this.#abort.abort();
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { clock, logger, stream, onProblem } = this.#options;
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        await this.#play(signal);
      } catch (error) {
        if (isAborted(signal)) break;
        logger.warn({ camera: stream.camera, err: error, retryMs: this.#retryMs }, 'file source failed');
        onProblem(messageOf(error));
        await wait(clock, this.#retryMs, signal);
        this.#retryMs = Math.min(MAX_RETRY_MS, this.#retryMs * 2);
      }
    }
  }

  /** Plays until aborted; throws what stops it before. */
  async #play(signal: AbortSignal): Promise<void> {
    const { stream, directory, url, clock } = this.#options;
    using clip = await Mp4Clip.open(await resolveClip(directory, url));
    if (signal.aborted) return;
    const driver = new FileDriver();
    const publication = stream.beginPublication(driver);
    try {
      const player = new ClipPlayer(clip, publication, driver, clock);
      await player.play(AbortSignal.any([signal, driver.closed]), () => {
        this.#retryMs = FIRST_RETRY_MS;
        this.#options.onProblem(null);
      });
      if (isAborted(signal)) publication.end('left', 'source stopped');
      else throw new Error(`publication closed: ${messageOf(driver.closed.reason)}`);
    } catch (error) {
      publication.end('lost', messageOf(error));
      throw error;
    }
  }
}

/** What the stream sees of a playing file. */
class FileDriver implements PublisherDriver {
  readonly protocol = 'file';
  readonly #closed = new AbortController();
  #bytes = 0;
  #samples = 0;

  /** Aborted when the stream wants the publisher gone. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  count(bytes: number): void {
    this.#bytes += bytes;
    this.#samples++;
  }

  /** A sample counts as a packet: there is no network. */
  stats(): TransportStats {
    return { bytes: this.#bytes, packets: this.#samples, lostPackets: 0, jitterMs: null, rttMs: null, nacksSent: 0, plisSent: 0 };
  }

  /** A file has its key frames where it has them. */
  requestKeyframe(): void {
    // Nothing can be asked of a file.
  }

  close(reason: string): void {
    this.#closed.abort(new Error(reason));
  }
}

/** One publication of a clip: paced samples onto a timeline whose RTP clock is the clip's own. */
class ClipPlayer {
  readonly #clip: Mp4Clip;
  readonly #driver: FileDriver;
  readonly #clock: Clock;
  readonly #timeline: StreamTimeline;
  /** Where the current round begins, ticks of 90 kHz. */
  #round = 0;
  /** Monotonic time of the clip's beginning in the first round. */
  #startedAt: Milliseconds;

  constructor(clip: Mp4Clip, publication: Publication, driver: FileDriver, clock: Clock) {
    this.#clip = clip;
    this.#driver = driver;
    this.#clock = clock;
    this.#startedAt = clock.monotonic();
    this.#timeline = new StreamTimeline({
      camera: publication.stream.camera,
      epoch: publication.epoch,
      nextSeq: () => publication.nextSeq(),
      publish: (unit) => { publication.publish(unit); },
      video: 'h264',
      parameterSets: clip.parameterSets,
      audio: clip.audio,
      clock,
    });
    // The clip's own clock, for both tracks: audio and video start together whenever their first samples are read.
    const now = clock.now();
    this.#timeline.senderReport('video', now, 0);
    if (clip.audio) this.#timeline.senderReport('audio', now, 0);
  }

  /** Round after round until aborted; `onRound` is called at the beginning of the first sample of each. */
  async play(signal: AbortSignal, onRound: () => void): Promise<void> {
    while (!signal.aborted) {
      let samples = 0;
      for await (const sample of this.#clip.samples()) {
        await this.#until((this.#round * 1000) / VIDEO_RATE + sample.due, signal);
        if (isAborted(signal)) return;
        if (samples++ === 0) onRound();
        this.#publish(sample);
      }
      if (samples === 0) throw new Error('the file has no samples');
      this.#round += this.#clip.period;
    }
  }

  async #until(due: Milliseconds, signal: AbortSignal): Promise<void> {
    const delay = this.#startedAt + due - this.#clock.monotonic();
    if (delay < -MAX_BEHIND_MS) this.#startedAt -= delay;
    if (delay > 0) await wait(this.#clock, delay, signal);
  }

  #publish(sample: ClipSample): void {
    const rate = sample.kind === 'video' ? VIDEO_RATE : this.#clip.audio?.clockRate ?? VIDEO_RATE;
    const timestamp = (Math.round((this.#round * rate) / VIDEO_RATE) + sample.pts) >>> 0;
    const unit = { timestamp, data: sample.data, randomAccess: sample.randomAccess, sps: null, pps: null, size: null };
    const now = this.#clock.monotonic();
    this.#driver.count(sample.data.length);
    if (sample.kind === 'video') this.#timeline.video(unit, now);
    else this.#timeline.audio(unit, now);
  }
}

/** A function, because the compiler believes that a signal found not aborted stays so across an `await`. */
const isAborted = (signal: AbortSignal): boolean => signal.aborted;

/** Resolves after `delay` or when aborted. */
const wait = (clock: Clock, delay: Milliseconds, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const done = (): void => {
      timer[Symbol.dispose]();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.after(delay, done);
    signal.addEventListener('abort', done, { once: true });
  });
