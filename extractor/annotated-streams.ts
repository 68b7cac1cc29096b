import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import type { WatchedStream } from '../ingest/port.ts';
import type { Logger } from '../platform/logging.ts';
import type { Metrics } from '../platform/metrics.ts';
import { AnnotatedStream } from './annotated-stream.ts';
import { PICTURE_DEADLINE_MS, noCamera, noPicture, nobodyPublishes, tooManyAnnotated, tooManyWait } from './picture-errors.ts';
import type { AnnotatedSource } from './port.ts';
import type { BurnInStatsMessage, FromCamera } from './protocol.ts';

/** An encoder outlives its last viewer by so long: a page that is loaded anew finds it. */
const LINGER_MS: Milliseconds = 2_000;
/** Viewers of a camera that wait for its first picture at a time. */
const MAX_WAITING = 256;
/** In `imageflow_branch_dropped_total`: pictures that were not burned in. */
const BRANCH = 'annotated';

export interface AnnotatedStreamsOptions {
  /** `extractor.annotated_streams`. */
  readonly maxStreams: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'branchDropped' | 'annotatedEncoders' | 'annotatedFrames'>;
  /** The stream a camera's pictures come from. */
  readonly source: (camera: CameraId) => WatchedStream | undefined;
  /** It has come to be wanted, or not. */
  readonly onChange: (camera: CameraId) => void;
  /** A viewer needs a random access picture. */
  readonly onKeyframe: (camera: CameraId) => void;
}

interface Entry {
  readonly stream: AnnotatedStream;
  holders: number;
  waiting: number;
  lingering: Disposable | null;
}

/** Video with boxes burned in, of the cameras somebody watches so: a stream comes with its first viewer and goes after its last (D-15). */
export class AnnotatedStreams implements AnnotatedSource {
  readonly #options: AnnotatedStreamsOptions;
  readonly #entries = new Map<CameraId, Entry>();
  /** Cameras that have ever had an encoder. */
  readonly #counted = new Set<CameraId>();
  #added: readonly ((stream: WatchedStream) => void)[] = [];
  #removed: readonly ((camera: CameraId) => void)[] = [];

  constructor(options: AnnotatedStreamsOptions) {
    this.#options = options;
  }

  get(camera: CameraId): WatchedStream | undefined {
    return this.#entries.get(camera)?.stream;
  }

  list(): readonly WatchedStream[] {
    return [...this.#entries.values()].map(({ stream }) => stream);
  }

  onStream(listener: (stream: WatchedStream) => void): Disposable {
    this.#added = [...this.#added, listener];
    for (const stream of this.list()) listener(stream);
    return { [Symbol.dispose]: () => { this.#added = this.#added.filter((l) => l !== listener); } };
  }

  onRemoved(listener: (camera: CameraId) => void): Disposable {
    this.#removed = [...this.#removed, listener];
    return { [Symbol.dispose]: () => { this.#removed = this.#removed.filter((l) => l !== listener); } };
  }

  hold(camera: CameraId): Disposable {
    const entry = this.#entries.get(camera) ?? this.#begin(camera);
    entry.lingering?.[Symbol.dispose]();
    entry.lingering = null;
    entry.holders++;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        if (--entry.holders === 0 && this.#entries.get(camera) === entry) entry.lingering = this.#options.clock.after(LINGER_MS, () => { this.remove(camera); });
      },
    };
  }

  async summon(camera: CameraId, signal: AbortSignal): Promise<Disposable> {
    const held = this.hold(camera);
    try {
      await this.#ready(camera, signal);
      return held;
    } catch (error) {
      held[Symbol.dispose]();
      throw error;
    }
  }

  /** Somebody watches the camera so, or did a moment ago. */
  wanted(camera: CameraId): boolean {
    return this.#entries.has(camera);
  }

  /** What the camera's feed says. */
  receive(camera: CameraId, message: Extract<FromCamera, { readonly type: 'annotated' | 'burn-in-stats' }>): void {
    if (message.type === 'burn-in-stats') this.#count(camera, message);
    else {
      try {
        this.#entries.get(camera)?.stream.accept(message);
      } catch (error) { // not what our own encoder makes
        this.#options.logger.error({ camera, error: messageOf(error) }, 'a picture with boxes burned in is none');
      }
    }
  }

  /** The camera's decoder is gone, and the encoder with it. */
  onGone(camera: CameraId): void {
    if (!this.#counted.has(camera)) return;
    const { metrics, source } = this.#options;
    if (source(camera)) metrics.annotatedEncoders.set({ camera }, 0);
    else if (this.#counted.delete(camera)) metrics.annotatedEncoders.remove({ camera });
  }

  /** Nobody watches it so any more, or the camera is no more: who still does is told that the stream has gone. */
  remove(camera: CameraId): void {
    const entry = this.#entries.get(camera);
    if (!entry) return;
    this.#entries.delete(camera);
    entry.lingering?.[Symbol.dispose]();
    entry.stream[Symbol.dispose]();
    for (const listener of this.#removed) listener(camera);
    this.#options.onChange(camera);
  }

  #count(camera: CameraId, { encoders, encoded, dropped }: BurnInStatsMessage): void {
    const { metrics } = this.#options;
    this.#counted.add(camera);
    metrics.annotatedEncoders.set({ camera }, encoders);
    metrics.annotatedFrames.inc({ camera }, encoded);
    for (const [reason, units] of Object.entries(dropped)) metrics.branchDropped.inc({ camera, branch: BRANCH, reason }, units);
  }

  #begin(camera: CameraId): Entry {
    const { source, clock, metrics, maxStreams, onChange, onKeyframe } = this.#options;
    const from = source(camera);
    if (!from) throw noCamera(camera);
    if (this.#entries.size >= maxStreams) throw tooManyAnnotated(camera, maxStreams);
    const stream = new AnnotatedStream({ source: from, clock, metrics, requestKeyframe: () => { onKeyframe(camera); } });
    const entry: Entry = { stream, holders: 0, waiting: 0, lingering: null };
    this.#entries.set(camera, entry);
    for (const listener of this.#added) listener(stream);
    onChange(camera);
    return entry;
  }

  /** Resolves when there is a first picture. */
  async #ready(camera: CameraId, signal: AbortSignal): Promise<void> {
    const entry = this.#entries.get(camera);
    if (!entry) throw noCamera(camera);
    const { stream } = entry;
    const outcome = (): 'ready' | Error | null => {
      if (this.#entries.get(camera) !== entry) return noCamera(camera);
      if (stream.tracks) return 'ready';
      return stream.session?.phase === 'live' ? null : nobodyPublishes(camera);
    };
    const now = outcome();
    if (now instanceof Error) throw now;
    if (now === 'ready') return;
    if (entry.waiting >= MAX_WAITING) throw tooManyWait(camera, MAX_WAITING);
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    using _deadline = this.#options.clock.after(PICTURE_DEADLINE_MS, () => { reject(noPicture(camera)); });
    using _changes = stream.onChange(() => {
      const then = outcome();
      if (then instanceof Error) reject(then);
      else if (then === 'ready') resolve(undefined);
    });
    const onAbort = (): void => { reject(signal.reason instanceof Error ? signal.reason : new Error('aborted')); };
    signal.addEventListener('abort', onAbort, { once: true });
    entry.waiting++;
    try {
      signal.throwIfAborted();
      await promise;
    } finally {
      entry.waiting--;
      signal.removeEventListener('abort', onAbort);
    }
  }
}
