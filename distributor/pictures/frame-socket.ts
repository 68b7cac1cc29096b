/** WebSocket `/ws/stream/{camera}`: pictures of a live camera with what was found in them (DIS-3). */
import type { RawData, WebSocket } from 'ws';
import { MediaError } from '../../core/errors.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { DetectionResult } from '../../core/detection.ts';
import { FrameResults } from '../../core/frame-results.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { DetectionSource, LivePicture, PictureSource } from '../../extractor/port.ts';
import { ViewerSockets } from '../sockets/viewer-sockets.ts';
import type { ServedViewer, ViewerSocketDeps } from '../sockets/viewer-sockets.ts';
import { NewestWins } from './newest-wins.ts';
import { parseFrames } from './picture-query.ts';
import type { FramesWish } from './picture-query.ts';
import { binaryVideoFrame, parseStreamControl, videoFrame } from './video-frame.ts';
import type { StreamControl } from './video-frame.ts';

export interface FrameSocketOptions extends ViewerSocketDeps {
  readonly pictures: PictureSource;
  readonly detections: DetectionSource;
}

const PROTOCOL = 'websocket-frames';
const BRANCH = 'ws-stream';
/** A socket that takes nothing for so long is closed: it must not keep a decoder busy. */
const STALLED_MS: Milliseconds = 30_000;
/** The rate told is that of about so many pictures. */
const RATE_PICTURES = 10;

/** Serves the sockets. Disposing closes them (1001). */
export class FrameSocket implements Disposable {
  readonly #sockets: ViewerSockets<FramesWish>;

  constructor(options: FrameSocketOptions) {
    this.#sockets = new ViewerSockets({ ...options, path: '/ws/stream/:camera', protocol: PROTOCOL, wish: parseFrames, serve: (socket, camera, wish) => new FrameViewer(socket, camera, wish, options) });
  }

  /** Sockets of a camera that are receiving, or could. */
  viewers(camera: CameraId): number {
    return this.#sockets.viewers(camera);
  }

  [Symbol.dispose](): void {
    this.#sockets[Symbol.dispose]();
  }
}

/** One socket. It is shown pictures from the begin on, until it says `stop` or `pause`, and again when it says `start`. */
class FrameViewer implements ServedViewer {
  readonly #socket: WebSocket;
  readonly #camera: CameraId;
  readonly #wish: FramesWish;
  readonly #options: FrameSocketOptions;
  readonly #queue: NewestWins<{ readonly picture: LivePicture; readonly results: readonly DetectionResult[] }>;
  readonly #results: FrameResults<LivePicture>;
  #watching: DisposableStack | null = null;
  #stalled: Disposable | null = null;
  #lastAt: Milliseconds | null = null;
  /** Mean distance of the pictures sent lately. */
  #distance: Milliseconds | null = null;

  /** Throws what `PictureSource.watch` throws. */
  constructor(socket: WebSocket, camera: CameraId, wish: FramesWish, options: FrameSocketOptions) {
    this.#socket = socket;
    this.#camera = camera;
    this.#wish = wish;
    this.#options = options;
    this.#queue = new NewestWins(({ picture, results }) => { this.#send(picture, results); }, () => { options.metrics.branchDropped.inc({ camera, branch: BRANCH, reason: 'slow_client' }); });
    this.#results = new FrameResults<LivePicture>({
      clock: options.clock, deliver: (picture, results) => { this.#queue.offer({ picture, results }); },
      awaits: ({ drawn }) => drawn === null, // one with boxes drawn in has waited for its results before it came
    });
    this.#start();
  }

  hear(message: RawData): void {
    const control = parseStreamControl(message);
    if (!control) this.#refuse('INVALID_ARGUMENT', 'Messages are {"type":"stream_control","action":"start"|"stop"|"pause"}.');
    else if (control.camera_id !== undefined && control.camera_id !== this.#camera) this.#refuse('INVALID_ARGUMENT', 'This socket shows another camera.');
    else this.#obey(control);
  }

  [Symbol.dispose](): void {
    this.#stop();
    this.#stalled?.[Symbol.dispose]();
  }

  #obey({ action, processing_pipeline: pipeline }: StreamControl): void {
    if (pipeline !== undefined) this.#results.choose(pipeline === '' ? null : pipeline);
    if (action !== 'start') {
      this.#stop();
      return;
    }
    try {
      this.#start();
    } catch (error) {
      if (!(error instanceof MediaError)) throw error;
      this.#refuse(error.reason ?? error.code, error.message);
    }
  }

  #start(): void {
    if (this.#watching) return;
    const { pictures, detections } = this.#options;
    const watching = new DisposableStack();
    watching.use(detections.detections(this.#camera).attach(({ detector, result }) => { this.#results.onResult(detector, result); }));
    try {
      watching.use(pictures.watch(this.#camera, this.#wish.spec, this.#wish.fps, (picture) => { this.#results.onPicture(picture); }));
    } catch (error) {
      watching.dispose();
      throw error;
    }
    this.#watching = watching;
  }

  /** Nothing is decoded for somebody who does not look. */
  #stop(): void {
    this.#watching?.dispose();
    this.#watching = null;
    this.#results[Symbol.dispose]();
    this.#queue.forget();
    this.#lastAt = null;
  }

  #send(picture: LivePicture, results: readonly DetectionResult[]): void {
    const { clock } = this.#options;
    const stats = { processingMs: Math.max(0, clock.now() - picture.capturedAt), fps: this.#rate(clock.monotonic()) };
    this.#stalled = clock.after(STALLED_MS, () => { this.#socket.terminate(); });
    const sent = (): void => {
      this.#stalled?.[Symbol.dispose]();
      this.#stalled = null;
      this.#queue.drained();
    };
    if (this.#wish.binary) this.#socket.send(binaryVideoFrame(picture, results, stats), sent);
    else this.#socket.send(videoFrame(picture, results, stats), sent);
  }

  #rate(now: Milliseconds): number {
    if (this.#lastAt !== null) {
      const distance = Math.max(1, now - this.#lastAt);
      this.#distance = this.#distance === null ? distance : this.#distance + (distance - this.#distance) / RATE_PICTURES;
    }
    this.#lastAt = now;
    return this.#distance === null ? 0 : 1000 / this.#distance;
  }

  #refuse(code: string, message: string): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(JSON.stringify({ type: 'error', error: { code, message } }));
  }
}
