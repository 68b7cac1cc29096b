import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { MAX_SENT_PICTURE_BYTES } from '../../extractor/port.ts';
import type { SentPictureDetector } from '../../extractor/port.ts';
import { toGrpcStatus } from '../../platform/grpc/errors.ts';
import { serve } from '../../platform/grpc/service.ts';
import type { ServiceRegistration } from '../../platform/grpc/service.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import { CameraStreamProcessor } from '../../proto/gen/imageflow/v1/camera_stream_processor_pb.ts';
import type { CallGuard } from './call-guard.ts';
import { FrameBudget } from './frame-budget.ts';
import { VideoStream } from './video-stream.ts';
import type { VideoCall } from './video-stream.ts';

export interface VideoStreamsOptions {
  readonly detector: SentPictureDetector;
  readonly guard: CallGuard;
  readonly defaultModel: string;
  /** Streams at a time. */
  readonly maxStreams: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'videoStreams' | 'streamedFrames' | 'streamedFrameSeconds'>;
}

/** Beside the picture: metadata. */
const MAX_MESSAGE_BYTES = MAX_SENT_PICTURE_BYTES + (256 << 10);
/** Of frames that are not answered, of all streams. Each may be reading one more. */
const MAX_HELD_BYTES = 64 << 20;
/** Of pictures that go back, of all streams; one may be under way beyond that. */
const MAX_ANSWERED_BYTES = 64 << 20;
/** A token that is revoked ends its streams within a second, as at other doors. */
const SWEEP: Milliseconds = 500;

/** `imageflow.v1.CameraStreamProcessor` (INF-7). Disposing ends its streams: the server stops. */
export class VideoStreams implements Disposable {
  /** Give it to `GrpcServer.start`. */
  readonly registration: ServiceRegistration;
  readonly #options: VideoStreamsOptions;
  readonly #streams = new Map<VideoStream, VideoCall>();
  readonly #budget = new FrameBudget(MAX_HELD_BYTES, () => { this.#goOn(); });
  readonly #answers = new FrameBudget(MAX_ANSWERED_BYTES, () => { this.#goOn(); });
  readonly #sweeper: Disposable;
  #stopped = false;

  constructor(options: VideoStreamsOptions) {
    this.#options = options;
    this.registration = serve(CameraStreamProcessor, { processVideoStream: (call) => { void this.#accept(call); } }, { maxMessageBytes: MAX_MESSAGE_BYTES });
    this.#sweeper = options.clock.every(SWEEP, () => { for (const [stream, call] of this.#streams) this.#sweep(stream, call); });
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#sweeper[Symbol.dispose]();
    for (const stream of this.#streams.keys()) stream.fail(stopping());
  }

  async #accept(call: VideoCall): Promise<void> {
    const { guard, maxStreams, logger, detector, metrics } = this.#options;
    try {
      const { username } = await guard.admit(call, 'pipeline:execute');
      if (this.#stopped) throw stopping();
      if (this.#streams.size >= maxStreams) throw new MediaError('RESOURCE_EXHAUSTED', `There are ${String(maxStreams)} video streams already.`, { reason: 'TOO_MANY_STREAMS', retryAfterSeconds: 5 });
      if (call.cancelled) return;
      const hold = detector.hold();
      const stream = new VideoStream(call, {
        ...this.#options, budget: this.#budget, answers: this.#answers,
        onEnd: () => {
          hold[Symbol.dispose]();
          this.#streams.delete(stream);
          metrics.videoStreams.set(this.#streams.size);
          logger.info({ user: username, peer: call.getPeer() }, 'video stream ended');
        },
      });
      this.#streams.set(stream, call);
      metrics.videoStreams.set(this.#streams.size);
      logger.info({ user: username, peer: call.getPeer() }, 'video stream began');
    } catch (error) {
      if (!(error instanceof MediaError)) logger.error({ err: error }, 'a gRPC handler failed');
      call.emit('error', toGrpcStatus(error));
    }
  }

  /** There is room again: each time another stream is asked first. */
  #goOn(): void {
    const [first] = this.#streams;
    for (const stream of [...this.#streams.keys()]) stream.next();
    if (!first || !this.#streams.delete(first[0])) return; // it has ended
    this.#streams.set(...first);
  }

  #sweep(stream: VideoStream, call: VideoCall): void {
    stream.sweep();
    this.#options.guard.admitAgain(call, 'pipeline:execute').catch((error: unknown) => {
      stream.fail(error instanceof MediaError ? error : new MediaError('INTERNAL', 'The token could not be checked.', { cause: error }));
    });
  }
}

const stopping = (): MediaError => new MediaError('UNAVAILABLE', 'The server stops.', { reason: 'SERVER_STOPS', retryAfterSeconds: 1 });
