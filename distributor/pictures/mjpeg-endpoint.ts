/** `GET /v1/cameras/{camera}/mjpeg`: a live camera as an endless row of JPEGs, for `<img>` and whatever else plays nothing better. */
import type { ServerResponse } from 'node:http';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { Milliseconds } from '../../core/units.ts';
import { PICTURE_DEADLINE_MS, noCamera, noPicture, nobodyPublishes } from '../../extractor/port.ts';
import type { LivePicture, PictureSource } from '../../extractor/port.ts';
import type { StreamRegistry } from '../../ingest/port.ts';
import type { Authorizer, Distribution } from '../../media-control/port.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { MediaRequest, MediaRouter } from '../../transport/http/port.ts';
import { distributionOff } from '../distribution-off.ts';
import { MULTIPART_BEGIN, MULTIPART_TYPE, PART_END, partHead } from './multipart.ts';
import { NewestWins } from './newest-wins.ts';
import { parseMjpeg } from './picture-query.ts';

export interface MjpegOptions {
  readonly router: MediaRouter;
  readonly authorizer: Authorizer;
  readonly streams: StreamRegistry;
  readonly pictures: PictureSource;
  readonly distribution: Distribution;
  /** `limits.viewers_per_camera`. */
  readonly viewersPerCamera: number;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, 'viewers' | 'branchDropped'>;
}

/** A client that takes nothing for so long has gone without a word, or watches no longer: it must not keep a decoder busy. */
const STALLED_MS: Milliseconds = 30_000;
const LOOK_MS: Milliseconds = 5_000;
const RETRY_SECONDS = 1;
const PROTOCOL = 'mjpeg';

interface Viewer {
  readonly camera: CameraId;
  readonly principalId: string;
  readonly response: ServerResponse;
  readonly queue: NewestWins<LivePicture>;
  /** Since when it takes the picture it was given, monotonic; null: it has taken all. */
  fullSince: Milliseconds | null;
  /** Nothing was sent yet: what ends it is answered as a problem. */
  refuse: ((error: MediaError) => void) | null;
  watching: Disposable | null;
}

/** Serves the viewers. Disposing ends them. */
export class MjpegEndpoint implements Disposable {
  readonly #options: MjpegOptions;
  readonly #viewers = new Set<Viewer>();
  readonly #resources = new DisposableStack();

  constructor(options: MjpegOptions) {
    this.#options = options;
    options.router.route('GET', '/v1/cameras/:camera/mjpeg', (exchange) => this.#serve(exchange));
    this.#resources.use(options.clock.every(LOOK_MS, () => { this.#endStalled(); }));
    this.#resources.use(options.authorizer.onRevoked((id) => { this.#endAll((viewer) => viewer.principalId === id, () => new MediaError('UNAUTHENTICATED', 'The credential was revoked.', { reason: 'TOKEN_REVOKED' })); }));
    this.#resources.use(options.distribution.onSwitched((camera) => { if (options.distribution.isOff(camera)) this.#endAll((viewer) => viewer.camera === camera, () => distributionOff(camera)); }));
    this.#resources.use(options.streams.onRemoved((camera) => {
      this.#endAll((viewer) => viewer.camera === camera, () => noCamera(camera));
      options.metrics.viewers.remove({ camera, protocol: PROTOCOL });
    }));
  }

  /** Those who watch a camera so. */
  viewers(camera: CameraId): number {
    let count = 0;
    for (const viewer of this.#viewers) if (viewer.camera === camera) count++;
    return count;
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
    this.#endAll(() => true, () => new MediaError('UNAVAILABLE', 'The server stops.', { retryAfterSeconds: RETRY_SECONDS }));
  }

  /** Resolves with the first picture on its way; the rest follows until the client or we end it. */
  async #serve({ params, query, credential, request, response, signal }: MediaRequest): Promise<void> {
    const { authorizer, streams, pictures, distribution, viewersPerCamera, clock, metrics } = this.#options;
    const camera = params['camera'] ?? '';
    const principal = await authorizer.authorize(credential, 'play', camera);
    const stream = streams.get(camera);
    if (!stream) throw noCamera(camera);
    if (distribution.isOff(camera)) throw distributionOff(camera);
    const { spec, fps } = parseMjpeg(query);
    if (stream.session?.phase !== 'live') throw nobodyPublishes(camera);
    if (this.viewers(camera) >= viewersPerCamera) throw new MediaError('UNAVAILABLE', 'This camera has as many viewers as it may have.', { reason: 'VIEWER_LIMIT', retryAfterSeconds: RETRY_SECONDS, context: { camera, limit: viewersPerCamera } });
    if (request.method === 'HEAD') {
      writeHead(response);
      response.end();
      return;
    }
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const viewer: Viewer = {
      camera, principalId: principal.id, response, fullSince: null, refuse: reject, watching: null,
      queue: new NewestWins<LivePicture>((picture) => {
        if (viewer.refuse) {
          viewer.refuse = null;
          writeHead(response);
          response.write(MULTIPART_BEGIN);
          resolve(undefined);
        }
        viewer.fullSince = clock.monotonic();
        writePart(response, picture, () => {
          viewer.fullSince = null;
          if (this.#viewers.has(viewer)) viewer.queue.drained();
        });
      }, () => { metrics.branchDropped.inc({ camera, branch: PROTOCOL, reason: 'slow_client' }); }),
    };
    this.#viewers.add(viewer);
    response.once('close', () => {
      this.#forget(viewer);
      resolve(undefined);
    });
    using _deadline = clock.after(PICTURE_DEADLINE_MS, () => { this.#end(viewer, noPicture(camera)); });
    try {
      viewer.watching = pictures.watch(camera, spec, fps, (picture) => { viewer.queue.offer(picture); });
      this.#countViewers(camera);
      await promise;
    } catch (error) {
      this.#forget(viewer);
      throw error;
    }
  }

  #endStalled(): void {
    const now = this.#options.clock.monotonic();
    for (const viewer of this.#viewers) {
      if (viewer.fullSince === null || now - viewer.fullSince <= STALLED_MS) continue;
      this.#forget(viewer);
      viewer.response.destroy();
    }
  }

  #endAll(which: (viewer: Viewer) => boolean, why: () => MediaError): void {
    for (const viewer of this.#viewers) if (which(viewer)) this.#end(viewer, why());
  }

  /** Nothing more is sent from here on. */
  #end(viewer: Viewer, why: MediaError): void {
    this.#forget(viewer);
    if (viewer.refuse) viewer.refuse(why);
    else if (viewer.queue.full) viewer.response.destroy(); // it would go on taking what it was given
    else viewer.response.end();
  }

  #forget(viewer: Viewer): void {
    if (!this.#viewers.delete(viewer)) return;
    viewer.watching?.[Symbol.dispose]();
    this.#countViewers(viewer.camera);
  }

  #countViewers(camera: CameraId): void {
    if (this.#options.streams.get(camera)) this.#options.metrics.viewers.set({ camera, protocol: PROTOCOL }, this.viewers(camera));
  }
}

const writeHead = (response: ServerResponse): void => {
  response.writeHead(200, { 'content-type': MULTIPART_TYPE, 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
};

/** `done`: the system has taken all of it. */
const writePart = (response: ServerResponse, picture: LivePicture, done: () => void): void => {
  response.write(partHead(picture)); // Node gathers what is written in one turn
  response.write(picture.bytes);
  response.write(PART_END, done);
};
