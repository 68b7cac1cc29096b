/** `POST /v1/recordings/{camera}/uploads`: a file that a device recorded fills the gaps of its camera's recording [SD-52]. */
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import { CAMERA_ID } from '../../core/frame-ref.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Authorizer, CameraResolver } from '../../media-control/port.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Spool } from '../../platform/spool.ts';
import type { UploadReport, UploadTarget, WallRange } from '../../recorder/port.ts';
import { mediaTypeOf } from '../../transport/http/body.ts';
import { sendJson } from '../../transport/http/media-http-server.ts';
import type { MediaRequest, MediaRouter } from '../../transport/http/port.ts';
import { UploadedMp4 } from './uploaded-mp4.ts';

export interface UploadEndpointOptions {
  readonly router: MediaRouter;
  readonly authorizer: Authorizer;
  readonly cameras: CameraResolver;
  readonly spool: Spool;
  readonly recordings: UploadTarget;
  readonly clock: Clock;
  readonly logger: Logger;
}

const UPLOADS_ROUTE = '/v1/recordings/:camera/uploads';
/** Bodies on the disk and files being read at a time. */
const MAX_AT_ONCE = 4;
const RETRY_AFTER_SECONDS = 5;
/** What is read and thrown away of a body that was refused, so that its client can read why. */
const DRAIN_BYTES = 16 << 20;
const DRAIN_MS: Milliseconds = 30_000;
/** RFC 3339 with a time zone: a device's local time is nobody else's. */
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

export class UploadEndpoint {
  readonly #options: UploadEndpointOptions;
  #open = 0;

  constructor(options: UploadEndpointOptions) {
    this.#options = options;
    options.router.route('POST', UPLOADS_ROUTE, (exchange) => this.#post(exchange), { longBody: true });
  }

  async #post(exchange: MediaRequest): Promise<void> {
    try {
      await this.#take(exchange);
    } catch (error) {
      drain(exchange.request, this.#options.clock);
      throw error;
    }
  }

  /** Everything that can be refused without the body is, before it is read. */
  async #take({ request, response, params, query, credential }: MediaRequest): Promise<void> {
    const { authorizer, cameras, recordings, spool, clock, logger } = this.#options;
    const camera = params['camera'] ?? '';
    await authorizer.authorize(credential, 'publish', camera);
    const start = startOf(query);
    const given = mediaTypeOf(request.headers['content-type']);
    if (given !== 'video/mp4') throw new MediaError('UNSUPPORTED_MEDIA_TYPE', 'The body must be video/mp4.', { context: { content_type: given, expected: 'video/mp4' } });
    const spec = CAMERA_ID.test(camera) ? await cameras.resolve(camera, credential) : undefined;
    if (!spec) throw new MediaError('NOT_FOUND', 'There is no such camera.', { reason: 'CAMERA_NOT_FOUND', context: { camera } });
    recordings.admitUpload(camera, start);
    if (this.#open >= MAX_AT_ONCE) throw new MediaError('RESOURCE_EXHAUSTED', `${String(MAX_AT_ONCE)} uploads are under way.`, { reason: 'TOO_MANY_UPLOADS', retryAfterSeconds: RETRY_AFTER_SECONDS });
    this.#open++;
    try {
      await using spooled = await spool.take(request);
      await authorizer.authorize(credential, 'publish', camera); // again: the key may have been revoked meanwhile
      await using media = await UploadedMp4.open({ path: spooled.path, bytes: spooled.bytes, camera, start, clock });
      const report = await recordings.upload(media);
      logger.info({ camera, session: report.sessionId, segments: report.segments, pictures: report.pictures, bytes: spooled.bytes }, 'upload recorded');
      if (!response.destroyed) sendJson(response, viewOf(report, { from: start, to: start + media.duration }), report.segments > 0 ? 201 : 200);
    } catch (error) {
      logger.info({ camera, reason: messageOf(error) }, 'upload not recorded');
      throw error;
    } finally {
      this.#open--;
    }
  }
}

const instant = (at: Milliseconds): string => new Date(Math.round(at)).toISOString();
const ranges = (all: readonly WallRange[]): { readonly from: string; readonly to: string }[] => all.map(({ from, to }) => ({ from: instant(from), to: instant(to) }));

const viewOf = (report: UploadReport, file: WallRange) => ({
  camera: report.camera, from: instant(file.from), to: instant(file.to), session_id: report.segments > 0 ? report.sessionId : null,
  taken: ranges(report.taken), already_recorded: ranges(report.alreadyRecorded), segments: report.segments, pictures: report.pictures,
});

const startOf = (query: URLSearchParams): Milliseconds => {
  const given = query.get('start') ?? query.get('captured_at');
  const at = given !== null && INSTANT.test(given) ? Date.parse(given) : NaN;
  if (Number.isFinite(at) && at >= 0) return at;
  throw new MediaError('INVALID_ARGUMENT', 'start must say when the first picture was taken, as in 2026-11-29T08:30:00Z.', { reason: 'START_INVALID', context: { field: 'start' } });
};

/** Reads on for a while, then cuts the connection. */
const drain = (request: IncomingMessage, clock: Clock): void => {
  if (request.complete || request.destroyed) return;
  const timer = clock.after(DRAIN_MS, () => { request.destroy(); });
  const done = (): void => { timer[Symbol.dispose](); };
  request.once('end', done);
  request.once('close', done);
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > DRAIN_BYTES) request.destroy();
  });
};
