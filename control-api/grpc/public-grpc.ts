/** The public gRPC server (spec 2.3) at `grpc.port`: the media control of REST, pictures to be looked at, health and reflection. */
import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../core/clock.ts';
import { urlHost } from '../../core/listener-url.ts';
import type { SentPictureDetector } from '../../extractor/port.ts';
import { Health } from '../../platform/grpc/health.ts';
import { reflection } from '../../platform/grpc/reflection.ts';
import { GrpcServer } from '../../platform/grpc/server.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { AuditService } from '../audit/service.ts';
import type { CameraService } from '../cameras/service.ts';
import type { Guard } from '../guard.ts';
import { CallBudget } from '../call-budget.ts';
import { CallGuard } from './call-guard.ts';
import { VideoStreams } from './video-streams.ts';
import { mediaControlService } from './media-control.ts';

export interface PublicGrpcOptions {
  readonly cameras: CameraService;
  readonly audit: AuditService;
  readonly guard: Guard;
  /** For `CameraStreamProcessor`. */
  readonly sentPictures: SentPictureDetector;
  readonly metrics: Metrics;
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** As for bodies of REST. */
const MAX_MESSAGE_BYTES = 256 * 1024;
const MAX_CALLS = 512;
const MAX_STREAMS = 256;
/** Control has 3 s to stop (docs/lifecycle.md), of which others need some. */
const STOP_MS = 500;

/** Health and reflection answer everybody, as `/v1/health` and `/v1/openapi.json` do. Rejects when the port is taken. Disposing stops it. */
export const startPublicGrpc = async (options: PublicGrpcOptions): Promise<{ readonly port: number } & AsyncDisposable> => {
  const { cameras, audit, sentPictures, metrics, config, clock, logger } = options;
  await using stack = new AsyncDisposableStack();
  const health = new Health();
  const guard = new CallGuard(options.guard, new CallBudget(config.grpc.calls_per_minute, clock));
  const mediaControl = mediaControlService({ cameras, audit, guard, clock });
  const videoStreams = stack.use(new VideoStreams({ detector: sentPictures, guard, defaultModel: config.inference.default_model, maxStreams: config.grpc.max_video_streams, clock, logger, metrics }));
  const services = [mediaControl, videoStreams.registration, health.service];
  const server = stack.use(await GrpcServer.start({
    listen: `${urlHost(config.grpc.bind ?? config.bind)}:${String(config.grpc.port)}`,
    services: [...services, ...reflection(services)],
    maxMessageBytes: MAX_MESSAGE_BYTES,
    limits: { maxConnections: config.grpc.max_connections, maxCalls: MAX_CALLS, maxStreams: MAX_STREAMS },
    graceMs: STOP_MS,
    onError: (error, method) => { logger.error({ err: error, method }, 'a gRPC handler failed'); },
    clock,
  }));
  // Before the server, which waits for calls that go on.
  stack.defer(() => {
    videoStreams[Symbol.dispose]();
    health[Symbol.dispose]();
  });
  for (const name of ['', mediaControl.service.typeName, videoStreams.registration.service.typeName]) health.set(name, true);
  const owned = stack.move();
  return { port: server.port, [Symbol.asyncDispose]: () => owned.disposeAsync() };
};
