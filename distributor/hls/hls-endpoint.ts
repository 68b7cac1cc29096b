import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { Authorizer, Distribution } from '../../media-control/port.ts';
import type { PartStream, PartStreams } from '../../muxer/port.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { MediaRequest, MediaRouter } from '../../transport/http/port.ts';
import { distributionOff } from '../distribution-off.ts';
import { parseDirectives } from './delivery-directives.ts';
import { HlsStream } from './hls-stream.ts';
import type { RenderedPlaylist } from './hls-stream.ts';
import type { HlsResource } from './live-window.ts';
import { RecentViewers } from './recent-viewers.ts';
import { segmentRules } from './segment-rules.ts';
import type { HlsTiming, SegmentRules } from './segment-rules.ts';

export interface HlsEndpointOptions {
  readonly router: MediaRouter;
  readonly authorizer: Authorizer;
  readonly streams: PartStreams;
  /** Between camera and file name in the path: which of the camera's videos it is. */
  readonly infix: '' | '/annotated';
  /** `imageflow_viewers{protocol}`. */
  readonly protocol: 'hls' | 'hls-annotated';
  /** Streams that are made on demand: makes the camera's be listed until disposed of. Throws NOT_FOUND. Absent: they are there as long as their cameras. */
  readonly hold?: (camera: CameraId) => Disposable;
  readonly distribution: Distribution;
  readonly timing: HlsTiming;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, 'viewers'>;
}

interface CameraHls {
  readonly source: PartStream;
  /** Null while the camera is shown to nobody: nothing of it is held then. */
  stream: HlsStream | null;
  readonly viewers: RecentViewers;
}

const PLAYLIST_TYPE = 'application/vnd.apple.mpegurl';
const VIEWER_COUNT_MS = 2_000;

/** A media file never changes: its name is used once. `private`, because who may have it is decided per credential. */
const MEDIA_CACHE = 'private, max-age=3600, immutable';
/** A blocking answer stays right for a moment, by its whole query (RFC 8216bis §6.2.5.2); a plain one is to be asked for again. */
const BLOCKING_CACHE = 'private, max-age=1';
const PLAYLIST_CACHE = 'private, no-cache';

/** LL-HLS of every camera on the media port: `/hls/{camera}/index.m3u8`, or `/hls/{camera}/annotated/index.m3u8`, and what it leads to (contract 0.4). */
export class HlsEndpoint implements Disposable {
  readonly #options: HlsEndpointOptions;
  readonly #rules: SegmentRules;
  readonly #streams = new Map<CameraId, CameraHls>();
  /** Streams made on demand that somebody watches. */
  readonly #held = new Map<CameraId, Disposable>();
  readonly #resources = new DisposableStack();

  constructor(options: HlsEndpointOptions) {
    this.#options = options;
    this.#rules = segmentRules(options.timing);
    this.#resources.use(options.streams.onStream((stream) => { this.#add(stream); }));
    this.#resources.use(options.streams.onRemoved((camera) => { this.#remove(camera); }));
    this.#resources.use(options.distribution.onSwitched((camera) => { this.#switch(camera); }));
    this.#resources.use(options.clock.every(VIEWER_COUNT_MS, () => { this.#countViewers(); }));
    for (const method of ['GET', 'HEAD'] as const) {
      options.router.route(method, `/hls/:camera${options.infix}/:file`, (request) => this.#serve(request));
    }
  }

  /** HLS viewers of a camera: who asked within the last 10 s. */
  viewers(camera: CameraId): number {
    return this.#streams.get(camera)?.viewers.count(this.#options.clock.monotonic()) ?? 0;
  }

  /** Requests that wait get 404; the routes stay, and answer 404. */
  [Symbol.dispose](): void {
    this.#resources.dispose();
    for (const camera of [...this.#streams.keys()]) this.#remove(camera);
    for (const camera of [...this.#held.keys()]) this.#letGo(camera);
  }

  #add(source: PartStream): void {
    this.#streams.get(source.camera)?.stream?.[Symbol.dispose]();
    this.#streams.set(source.camera, { source, stream: this.#open(source), viewers: new RecentViewers() });
  }

  #open(source: PartStream): HlsStream | null {
    return this.#options.distribution.isOff(source.camera) ? null : new HlsStream(source, { rules: this.#rules, clock: this.#options.clock, onDemand: this.#options.hold !== undefined });
  }

  /** Off: who waits is refused, and the media is let go. On: it begins anew. */
  #switch(camera: CameraId): void {
    const entry = this.#streams.get(camera);
    if (!entry) return;
    entry.stream?.close(distributionOff(camera));
    entry.stream = this.#open(entry.source);
    entry.viewers.clear();
    this.#countViewers();
  }

  #remove(camera: CameraId): void {
    this.#streams.get(camera)?.stream?.[Symbol.dispose]();
    this.#streams.delete(camera);
    this.#letGo(camera);
    this.#options.metrics.viewers.remove({ camera, protocol: this.#options.protocol });
  }

  #letGo(camera: CameraId): void {
    const held = this.#held.get(camera);
    this.#held.delete(camera);
    held?.[Symbol.dispose]();
  }

  #countViewers(): void {
    const now = this.#options.clock.monotonic();
    for (const [camera, { viewers }] of this.#streams) {
      const count = viewers.count(now);
      this.#options.metrics.viewers.set({ camera, protocol: this.#options.protocol }, count);
      if (count === 0) this.#letGo(camera);
    }
  }

  async #serve(exchange: MediaRequest): Promise<void> {
    const { request, response, params, query, credential } = exchange;
    const camera = params['camera'] ?? '';
    const file = params['file'] ?? '';
    const { authorizer, distribution, hold } = this.#options;
    await authorizer.authorize(credential, 'play', camera);
    // What is no playlist is there already, or is nothing that is worth an encoder.
    if (hold && file.endsWith('.m3u8') && !this.#held.has(camera)) {
      if (distribution.isOff(camera)) throw distributionOff(camera);
      this.#held.set(camera, hold(camera));
    }
    const entry = this.#streams.get(camera);
    if (!entry) throw new MediaError('NOT_FOUND', 'There is no such camera.');
    const { stream } = entry;
    if (!stream) throw distributionOff(camera);
    entry.viewers.seen(`${credential ?? ''} ${request.socket.remoteAddress ?? ''}`, this.#options.clock.monotonic());
    // A player that showed its token in the URL has no other way to show it for what the playlist leads to.
    const token = query.get('token');
    if (file === 'index.m3u8') {
      sendPlaylist(request, response, await stream.multivariant(token, exchange.signal), PLAYLIST_CACHE);
    } else if (file === 'video.m3u8') {
      const directives = parseDirectives(query);
      const playlist = await stream.playlist(directives, token, exchange.signal);
      sendPlaylist(request, response, playlist, directives.msn === null ? PLAYLIST_CACHE : BLOCKING_CACHE);
    } else {
      sendMedia(response, await stream.resource(file, exchange.signal));
    }
  }
}

const sendPlaylist = (request: IncomingMessage, response: ServerResponse, playlist: RenderedPlaylist, cacheControl: string): void => {
  const accepted = request.headers['accept-encoding'];
  const gzip = typeof accepted === 'string' && /\bgzip\b/.test(accepted);
  const body = gzip ? playlist.gzip() : playlist.plain;
  response.writeHead(200, {
    'content-type': PLAYLIST_TYPE,
    'content-length': body.length,
    'cache-control': cacheControl,
    ...(gzip ? { 'content-encoding': 'gzip' } : {}),
    vary: 'Accept-Encoding, Authorization, Origin',
  });
  response.end(body);
};

const sendMedia = (response: ServerResponse, resource: HlsResource): void => {
  const length = resource.kind === 'segment' ? resource.segment.bytes : resource.kind === 'part' ? resource.part.byteLength : resource.init.bytes.length;
  response.writeHead(200, {
    'content-type': 'video/mp4',
    'content-length': length,
    'cache-control': MEDIA_CACHE,
    vary: 'Authorization, Origin',
  });
  // One gathered write of the access units' own buffers.
  response.cork();
  if (resource.kind === 'init') response.write(resource.init.bytes);
  else if (resource.kind === 'part') for (const chunk of resource.part.chunks) response.write(chunk);
  else for (const { part } of resource.segment.parts) for (const chunk of part.chunks) response.write(chunk);
  response.end();
};
