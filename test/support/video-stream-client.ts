/** A client of `CameraStreamProcessor.ProcessVideoStream`. */
import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { MediaError } from '../../core/errors.ts';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { fromGrpc } from '../../platform/grpc/errors.ts';
import { CameraStreamProcessor } from '../../proto/gen/imageflow/v1/camera_stream_processor_pb.ts';
import { StreamVideoFrameSchema } from '../../proto/gen/imageflow/v1/stream/messages_pb.ts';
import type { StreamProcessedFrame, StreamVideoFrame } from '../../proto/gen/imageflow/v1/stream/messages_pb.ts';

type Frame = MessageInitShape<typeof StreamVideoFrameSchema>;

/** One call. Answers are matched to frames by their order. */
export class VideoStreamClient implements Disposable {
  /** How it ended: null when the server had nothing against it. */
  readonly ended: Promise<MediaError | null>;
  readonly #client: GrpcClient<typeof CameraStreamProcessor>;
  readonly #call: ClientDuplexStream<StreamVideoFrame, StreamProcessedFrame>;
  readonly #asked: PromiseWithResolvers<StreamProcessedFrame>[] = [];

  /** `address`: `host:port`. */
  constructor(address: string, token?: string) {
    this.#client = GrpcClient.dial(CameraStreamProcessor, address, token === undefined ? {} : { token });
    this.#call = this.#client.call.processVideoStream();
    const end = Promise.withResolvers<MediaError | null>();
    this.ended = end.promise;
    this.#call.on('data', (answer: StreamProcessedFrame) => { this.#asked.shift()?.resolve(answer); });
    const over = (error: MediaError | null): void => {
      end.resolve(error);
      for (const { reject } of this.#asked.splice(0)) reject(error ?? new Error('the stream ended without an answer'));
    };
    this.#call.on('error', (error) => { over(fromGrpc(error)); });
    this.#call.on('end', () => { over(null); });
  }

  /** Resolves with the answer to this frame; rejects with what ends the stream before. */
  ask(frame: Frame): Promise<StreamProcessedFrame> {
    const asked = Promise.withResolvers<StreamProcessedFrame>();
    asked.promise.catch(() => undefined); // `ended` tells, too
    this.#asked.push(asked);
    this.#call.write(create(StreamVideoFrameSchema, frame));
    return asked.promise;
  }

  halfClose(): void { this.#call.end(); }

  /** Cancels the call and closes the connection. */
  [Symbol.dispose](): void {
    this.#call.cancel();
    this.#client[Symbol.dispose]();
  }
}
