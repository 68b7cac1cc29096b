/** Streams of frames on a real gRPC server, whose detector answers when a test says so. For tests only. */
import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { expect } from 'vitest';
import { sleep } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import type { SentPicture, SentPictureDetector, SentPictureOutcome } from '../../extractor/port.ts';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { fromGrpc } from '../../platform/grpc/errors.ts';
import { GrpcServer } from '../../platform/grpc/server.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { CameraStreamProcessor } from '../../proto/gen/imageflow/v1/camera_stream_processor_pb.ts';
import { StreamVideoFrameSchema } from '../../proto/gen/imageflow/v1/stream/messages_pb.ts';
import type { StreamProcessedFrame } from '../../proto/gen/imageflow/v1/stream/messages_pb.ts';
import type { AccessPrincipal } from '../api-env.ts';
import { CallBudget } from '../call-budget.ts';
import { CallGuard } from '../grpc/call-guard.ts';
import { VideoStreams } from '../grpc/video-streams.ts';
import { createGuard } from '../guard.ts';

type Seen = Extract<SentPictureOutcome, { seen: true }>;

const OPERATOR: AccessPrincipal = { id: 'u1', username: 'op', role: 'operator', permissions: ['pipeline:execute'], tokenId: 't', family: 'f', expiresAt: Number.MAX_SAFE_INTEGER };
export const TIMES = { waitingMs: 1, decodeMs: 4.4, resizeMs: 1.6, queueMs: 0, inferenceMs: 14.2, annotateMs: 0 };
export const seen = (className = 'person'): Seen => ({
  seen: true, width: 640, height: 480, modelDigest: 'digest', annotated: null, times: TIMES, detections: [{ className, classId: 3, confidence: 0.5, bbox: { x: 1, y: 2, width: 3, height: 4 }, trackId: null }],
});

/** A detector whose pictures wait for the test. */
class HeldDetector implements SentPictureDetector {
  readonly asked: { readonly picture: SentPicture; readonly answer: (outcome: SentPictureOutcome) => void }[] = [];
  holders = 0;
  /** Answers at once, if set. */
  always: SentPictureOutcome | null = null;
  hold(): Disposable {
    this.holders++;
    return { [Symbol.dispose]: () => { this.holders--; } };
  }
  detect(picture: SentPicture): Promise<SentPictureOutcome> {
    if (this.always) return Promise.resolve(this.always);
    return new Promise((answer) => { this.asked.push({ picture, answer }); });
  }
}

type Frame = MessageInitShape<typeof StreamVideoFrameSchema>;

/** A client of one stream. */
export class Viewer implements Disposable {
  readonly answers: StreamProcessedFrame[] = [];
  /** Frames that gRPC has taken from the client. */
  written = 0;
  /** How it ended: null without an error. */
  readonly ended: Promise<MediaError | null>;
  readonly #call;

  readonly #client;

  constructor(address: string, token: string | null) {
    const client = GrpcClient.dial(CameraStreamProcessor, address, token === null ? {} : { token });
    this.#client = client;
    const call = client.call.processVideoStream();
    this.#call = call;
    const end = Promise.withResolvers<MediaError | null>();
    this.ended = end.promise;
    call.on('data', (answer: StreamProcessedFrame) => { this.answers.push(answer); });
    call.on('error', (error) => { end.resolve(fromGrpc(error)); });
    call.on('end', () => { end.resolve(null); });
  }

  send(frame: Frame = {}): void {
    this.#call.write(create(StreamVideoFrameSchema, { frameData: Buffer.from('picture'), ...frame }), () => { this.written++; });
  }
  halfClose(): void { this.#call.end(); }
  pause(): void { this.#call.pause(); }
  resume(): void { this.#call.resume(); }
  cancel(): void { this.#call.cancel(); }

  /** Waits for so many answers in all. */
  async answered(count: number): Promise<readonly StreamProcessedFrame[]> {
    await expect.poll(() => this.answers.length, { timeout: 10_000, interval: 5 }).toBeGreaterThanOrEqual(count);
    expect(this.answers.length).toBe(count);
    return this.answers;
  }
  [Symbol.dispose](): void { this.#client[Symbol.dispose](); }
}

/** The streams, at most three at a time, and what is around them. */
export class ServedStreams implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly detector = new HeldDetector();
  readonly metrics = createMetrics('control');
  readonly streams: VideoStreams;
  /** The token is good no more. */
  revoked = false;
  readonly #stack = new AsyncDisposableStack();
  #address = '';

  private constructor() {
    const authenticator = {
      authenticate: (token: string) => {
        if (token !== 'right' && token !== 'viewer') throw new MediaError('UNAUTHENTICATED', 'no', { reason: 'TOKEN_INVALID' });
        if (this.revoked) throw new MediaError('UNAUTHENTICATED', 'no more', { reason: 'TOKEN_REVOKED' });
        return token === 'viewer' ? { ...OPERATOR, permissions: [] } : OPERATOR;
      },
    };
    const guard = new CallGuard(createGuard(authenticator, { denied: () => undefined }), new CallBudget(1000, this.clock));
    this.streams = new VideoStreams({ detector: this.detector, guard, defaultModel: 'default-model', maxStreams: 3, clock: this.clock, logger: silentLogger(), metrics: this.metrics });
  }

  static async start(): Promise<ServedStreams> {
    const served = new ServedStreams();
    const { streams } = served;
    const server = served.#stack.use(await GrpcServer.start({ listen: '127.0.0.1:0', services: [streams.registration], maxMessageBytes: 256 << 10, limits: { maxConnections: 10, maxCalls: 10, maxStreams: 10 }, graceMs: 100 }));
    served.#stack.use(streams);
    served.#address = server.address;
    return served;
  }

  viewer(token: string | null = 'right'): Viewer {
    return this.#stack.use(new Viewer(this.#address, token));
  }

  /** Waits until the detector has been asked so often in all. */
  async asked(count: number): Promise<void> {
    await expect.poll(() => this.detector.asked.length, { timeout: 10_000, interval: 5 }).toBe(count);
  }

  /** Frames that ended so. */
  async counted(result: string): Promise<number> {
    return (await this.metrics.streamedFrames.get()).values.find(({ labels }) => labels.result === result)?.value ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Long enough for whatever was going to happen. */
export const quiet = async (): Promise<void> => { for (let i = 0; i < 10; i++) await sleep(10); };
