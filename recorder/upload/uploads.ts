/** Takes uploaded files one after the other, whatever the camera: live recording has the disk first. */
import { MediaError } from '../../core/errors.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { SegmentRecord, UploadReport, UploadedMedia } from '../port.ts';
import { UploadRecording } from './upload-recording.ts';
import type { UploadRecordingDeps } from './upload-recording.ts';

export interface UploadsOptions {
  readonly directory: string;
  readonly segmentMs: Milliseconds;
  /** How long a camera's recordings are kept. */
  readonly windowMs: (camera: CameraId) => Milliseconds;
  /** Whether a mark keeps what lies there. */
  readonly isKept: (range: Pick<SegmentRecord, 'camera' | 'start' | 'duration'>) => boolean;
}

export type UploadsDeps = Omit<UploadRecordingDeps, 'partMaker'> & { readonly partMaker?: UploadRecordingDeps['partMaker'] };

/** A device's clock may be so much ahead of ours. */
const AHEAD: Milliseconds = 2_000;
/** A clean stop has 10 s for the whole server. */
const STOP_DEADLINE: Milliseconds = 3_000;

export class Uploads implements AsyncDisposable {
  readonly #options: UploadsOptions;
  readonly #deps: UploadsDeps;
  readonly #stop = new AbortController();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: UploadsOptions, deps: UploadsDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Throws UNPROCESSABLE when nothing that begins at `start` could be kept. */
  admit(camera: CameraId, start: Milliseconds): void {
    const now = this.#deps.clock.now();
    if (start > now + AHEAD) throw inTheFuture(now);
    const from = now - this.#options.windowMs(camera);
    if (start >= from || this.#options.isKept({ camera, start, duration: 0 })) return;
    throw new MediaError('UNPROCESSABLE', `It begins before ${new Date(from).toISOString()}: recordings of this camera are kept no longer, and it would be deleted at once. Mark the range first, or set a longer window.`, {
      reason: 'BEFORE_WINDOW', context: { camera, kept_from: new Date(from).toISOString() },
    });
  }

  /** Waits for its turn. Throws as `admit` and `UploadRecording.run`, and UNAVAILABLE when the recorder stops. */
  record(media: UploadedMedia): Promise<UploadReport> {
    const recorded = this.#last.then(() => this.#record(media));
    this.#last = recorded.catch(() => undefined);
    return recorded;
  }

  async #record(media: UploadedMedia): Promise<UploadReport> {
    const { camera, start, duration } = media;
    const { clock, partMaker } = this.#deps;
    if (this.#stop.signal.aborted || !partMaker) throw new MediaError('UNAVAILABLE', 'The server is stopping.', { reason: 'STOPPING', retryAfterSeconds: 5 });
    this.admit(camera, start);
    const now = clock.now();
    if (start + duration > now + AHEAD) throw inTheFuture(now);
    const { directory, segmentMs, isKept, windowMs } = this.#options;
    const from = isKept({ camera, start, duration: 0 }) ? -Infinity : now - windowMs(camera);
    return await new UploadRecording(media, { directory, segmentMs, allowed: { from, to: now } }, { ...this.#deps, partMaker }).run(this.#stop.signal);
  }

  /** Ends what is being written at its last whole part; waits three seconds for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    let timer: Disposable | undefined;
    await Promise.race([this.#last, new Promise<void>((resolve) => { timer = this.#deps.clock.after(STOP_DEADLINE, resolve); })]);
    timer?.[Symbol.dispose]();
  }
}

const inTheFuture = (now: Milliseconds): MediaError =>
  new MediaError('UNPROCESSABLE', `It begins or ends in the future: it is ${new Date(now).toISOString()} here.`, { reason: 'IN_THE_FUTURE', context: { now: new Date(now).toISOString() } });
