/** WHIP, RFC 9725, on the media port: `/whip/{camera}` and the session resources it makes (contract 0.4). */
import { randomInt, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import { CAMERA_ID } from '../../core/frame-ref.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import { parseSdpFragment } from '../../core/sdp/fragment.ts';
import type { Authorizer, CameraResolver, Principal } from '../../media-control/port.ts';
import type { Logger } from '../../platform/logging.ts';
import type { MediaRequest, MediaRouter, ReadBody } from '../../transport/http/port.ts';
import type { WebRtcEngine, WebRtcPeer } from '../../transport/webrtc/port.ts';
import type { CameraStream, StreamRegistry } from '../port.ts';
import { negotiatePublish } from './publish-negotiation.ts';
import type { PublishPlan } from './publish-negotiation.ts';
import { WhipPublisher } from './whip-publisher.ts';

export interface WhipEndpointOptions {
  readonly router: MediaRouter;
  readonly readBody: ReadBody;
  readonly authorizer: Authorizer;
  readonly cameras: CameraResolver;
  readonly streams: StreamRegistry;
  /** Bits per second that the way from a camera carries; undefined: nobody has said. Asked anew all the time. */
  readonly bandwidthHint: (camera: CameraId) => number | undefined;
  readonly engine: WebRtcEngine;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The section `webrtc` of the configuration. */
  readonly config: {
    readonly keyframe_interval_seconds: number;
    readonly jitter_buffer_ms: number;
    readonly max_bitrate_bps: number;
    readonly ice_servers: readonly { readonly urls: string; readonly username?: string | undefined; readonly credential?: string | undefined }[];
  };
}

interface WhipSession {
  readonly id: string;
  readonly principal: string;
  readonly publisher: WhipPublisher;
}

const MAX_OFFER_BYTES = 64 << 10;
const MAX_FRAGMENT_BYTES = 16 << 10;
const RETRY_AFTER_SECONDS = 2;

/** Registers its routes when made; they live as long as the router. Disposing closes every publisher. */
export class WhipEndpoint implements Disposable {
  readonly #options: WhipEndpointOptions;
  readonly #sessions = new Map<string, WhipSession>();
  readonly #links: readonly string[];
  readonly #revocations: Disposable;
  #disposed = false;

  constructor(options: WhipEndpointOptions) {
    this.#options = options;
    this.#links = options.config.ice_servers.map(iceServerLink);
    this.#revocations = options.authorizer.onRevoked((principal) => { this.#revoke(principal); });
    const { router } = options;
    router.route('POST', '/whip/:camera', (exchange) => this.#post(exchange));
    for (const method of ['GET', 'HEAD'] as const) {
      router.route(method, '/whip/:camera', ({ response }) => { response.writeHead(204).end(); }); // RFC 9725 §4.2: 2xx, no content
      router.route(method, '/whip/:camera/:session', (exchange) => this.#head(exchange));
    }
    router.route('PATCH', '/whip/:camera/:session', (exchange) => this.#patch(exchange));
    router.route('DELETE', '/whip/:camera/:session', (exchange) => this.#delete(exchange));
  }

  /** Publishers connected or connecting now. */
  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** Answers a request whose body is an offer to publish; WHEP calls it for `sendonly` offers (ING-2). */
  readonly publish = async (exchange: MediaRequest, offer: string): Promise<void> => {
    const camera = exchange.params['camera'] ?? '';
    await this.#options.authorizer.authorize(exchange.credential, 'publish', camera);
    await this.#accept(exchange, camera, offer);
  };

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#revocations[Symbol.dispose]();
    for (const { publisher } of this.#sessions.values()) publisher.end('lost', 'the server stops');
  }

  /** The credential is checked before the body is read. */
  async #post(exchange: MediaRequest): Promise<void> {
    const camera = exchange.params['camera'] ?? '';
    await this.#options.authorizer.authorize(exchange.credential, 'publish', camera);
    const offer = await this.#options.readBody(exchange.request, 'application/sdp', MAX_OFFER_BYTES);
    await this.#accept(exchange, camera, offer);
  }

  async #accept(exchange: MediaRequest, camera: string, offer: string): Promise<void> {
    const plan = negotiatePublish(offer, this.#options.config.max_bitrate_bps);
    const stream = await this.#stream(camera, exchange.credential);
    const id = randomUUID();
    const peer = await this.#options.engine.accept({
      name: `whip ${camera}`,
      offer,
      clientAddress: exchange.clientAddress,
      send: [],
      receive: { mid: plan.first.mid, kind: plan.first.kind, payloadType: plan.first.codec.payloadType, rtpmap: plan.first.codec.rtpmap, fmtp: plan.first.codec.fmtp },
      dataChannels: plan.dataChannels,
    });
    // Again, with nothing to wait for behind it: the key may have been revoked while the offer came or was being answered.
    const principal = await this.#options.authorizer.authorize(exchange.credential, 'publish', camera).catch((error: unknown) => {
      peer[Symbol.dispose]();
      throw error;
    });
    if (this.#disposed || exchange.response.destroyed) { // nobody waits for the answer any more
      peer[Symbol.dispose]();
      throw new MediaError('UNAVAILABLE', 'The server is stopping.', { retryAfterSeconds: RETRY_AFTER_SECONDS });
    }
    this.#open(id, principal, stream, plan, peer);
    const answer = plan.answer(peer.transport, String(randomInt(1, 2 ** 47)));
    exchange.response.writeHead(201, {
      'content-type': 'application/sdp',
      'content-length': Buffer.byteLength(answer),
      'location': `/whip/${camera}/${id}`,
      'etag': etagOf(id),
      'accept-patch': 'application/trickle-ice-sdpfrag',
      'cache-control': 'no-store',
      ...(this.#links.length > 0 ? { link: [...this.#links] } : {}),
    });
    exchange.response.end(answer);
  }

  #maxBitrate(camera: CameraId): number {
    return Math.min(this.#options.config.max_bitrate_bps, this.#options.bandwidthHint(camera) ?? Infinity);
  }

  async #stream(camera: string, credential: string | null): Promise<CameraStream> {
    const spec = CAMERA_ID.test(camera) ? await this.#options.cameras.resolve(camera, credential) : undefined;
    if (!spec) throw new MediaError('NOT_FOUND', 'There is no such camera.', { context: { camera } });
    if (spec.source.type !== 'push') throw new MediaError('FAILED_PRECONDITION', 'This camera is not published to: its source is another.', { reason: 'NOT_PUSHED', context: { camera, source: spec.source.type } });
    const stream = this.#options.streams.get(camera);
    if (!stream) throw new MediaError('UNAVAILABLE', 'The camera is not ready yet.', { retryAfterSeconds: RETRY_AFTER_SECONDS, context: { camera } });
    return stream;
  }

  #open(id: string, principal: Principal, stream: CameraStream, plan: PublishPlan, peer: WebRtcPeer): void {
    const { clock, logger, config } = this.#options;
    try {
      const publisher = new WhipPublisher({
        stream, plan, peer, clock, logger,
        ssrc: randomInt(1, 2 ** 32),
        keyframeIntervalMs: config.keyframe_interval_seconds * 1000,
        jitterBufferMs: config.jitter_buffer_ms,
        maxBitrateBps: () => this.#maxBitrate(stream.camera),
        answeredBitrateBps: config.max_bitrate_bps,
        onClosed: () => { this.#sessions.delete(id); },
      });
      this.#sessions.set(id, { id, principal: principal.id, publisher });
    } catch (error) {
      peer[Symbol.dispose]();
      throw error;
    }
  }

  async #head(exchange: MediaRequest): Promise<void> {
    await this.#session(exchange);
    exchange.response.writeHead(204).end();
  }

  /** Trickled candidates. Of trickle and restart one may be left out (RFC 9725 §4.3.1); a restart is a new offer here. */
  async #patch(exchange: MediaRequest): Promise<void> {
    const { request, response } = exchange;
    const { id, publisher } = await this.#session(exchange);
    const text = await this.#options.readBody(request, 'application/trickle-ice-sdpfrag', MAX_FRAGMENT_BYTES);
    requireCurrent(request, id);
    const fragment = parseSdpFragment(text);
    if (fragment.iceUfrag !== null && fragment.iceUfrag !== publisher.plan.offerUfrag) throw restartRefused();
    for (const { candidate, mid } of fragment.candidates) publisher.addRemoteCandidate(candidate, mid ?? publisher.plan.first.mid);
    response.writeHead(204).end();
  }

  async #delete(exchange: MediaRequest): Promise<void> {
    const { publisher } = await this.#session(exchange);
    publisher.end('left', 'DELETE');
    exchange.response.writeHead(200, { 'content-length': 0 }).end();
  }

  /** Throws UNAUTHENTICATED, PERMISSION_DENIED or NOT_FOUND. */
  async #session({ params, credential }: MediaRequest): Promise<WhipSession> {
    const camera = params['camera'] ?? '';
    await this.#options.authorizer.authorize(credential, 'publish', camera);
    const session = this.#sessions.get(params['session'] ?? '');
    if (session?.publisher.camera !== camera) throw new MediaError('NOT_FOUND', 'There is no such session, or it is over.');
    return session;
  }

  #revoke(principal: string): void {
    for (const session of this.#sessions.values()) if (session.principal === principal) session.publisher.end('left', 'credential revoked');
  }
}

/** Strong and quoted (RFC 9725 §4.3.1). One ICE generation per session, so it never changes. */
const etagOf = (id: string): string => `"${id}"`;

/** RFC 9725 §4.3.1: 428 without If-Match, 412 with a stale one; `*` asks for a restart. */
const requireCurrent = (request: IncomingMessage, id: string): void => {
  const given = request.headers['if-match'];
  if (given === undefined) throw new MediaError('FAILED_PRECONDITION', 'PATCH needs If-Match with the ETag of the session.', { reason: 'PRECONDITION_REQUIRED' });
  if (given.trim() === '*') throw restartRefused();
  if (!given.split(',').some((tag) => tag.trim() === etagOf(id))) throw new MediaError('FAILED_PRECONDITION', 'If-Match names another ICE session.', { reason: 'PRECONDITION_FAILED' });
};

const restartRefused = (): MediaError => new MediaError('UNPROCESSABLE', 'ICE restart is not supported: POST a new offer for the same camera.', { reason: 'ICE_RESTART' });

/** RFC 9725 §4.6. */
const iceServerLink = (server: WhipEndpointOptions['config']['ice_servers'][number]): string => {
  const parts = [`<${server.urls}>`, 'rel="ice-server"'];
  if (server.username !== undefined) parts.push(`username="${server.username}"`);
  if (server.credential !== undefined) parts.push(`credential="${server.credential}"`, 'credential-type="password"');
  return parts.join('; ');
};
