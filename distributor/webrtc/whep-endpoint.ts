/** WHEP, draft-ietf-wish-whep-03, on the media port: `/whep/{camera}`, `/whep/{camera}/annotated` and the session resources they make (contract 0.4). */
import type { IncomingMessage } from 'node:http';
import { MediaError } from '../../core/errors.ts';
import { parseSdpFragment } from '../../core/sdp/fragment.ts';
import { parseWebRtcOffer } from '../../core/sdp/offer.ts';
import type { Authorizer } from '../../media-control/port.ts';
import type { MediaRequest, MediaRouter, ReadBody } from '../../transport/http/port.ts';
import { isPublishOffer } from './play-negotiation.ts';
import type { WhepEgress, WhepSession } from './whep-egress.ts';

export interface WhepEndpointOptions {
  readonly router: MediaRouter;
  /** Behind `/whep/{camera}`: which of the camera's videos it is. */
  readonly suffix: '' | '/annotated';
  readonly authorizer: Authorizer;
  readonly egress: WhepEgress;
  readonly readBody: ReadBody;
  /** `webrtc.ice_servers`. */
  readonly iceServers: readonly { readonly urls: string; readonly username?: string | undefined; readonly credential?: string | undefined }[];
  /** A `sendonly` offer posted here publishes (ING-2). Gets the request, its body already read. */
  readonly publish: (request: MediaRequest, offer: string) => Promise<void>;
}

const MAX_OFFER_BYTES = 64 << 10;
const MAX_FRAGMENT_BYTES = 16 << 10;

/** Registers the routes; they live as long as the router. */
export const serveWhep = (options: WhepEndpointOptions): void => {
  const endpoint = new WhepEndpoint(options);
  const { router, suffix } = options;
  const [root, session] = [`/whep/:camera${suffix}`, `/whep/:camera${suffix}/:session`];
  router.route('POST', root, (request) => endpoint.post(request));
  for (const method of ['GET', 'HEAD'] as const) {
    router.route(method, root, ({ response }) => { endpoint.describe(response); });
    router.route(method, session, (request) => endpoint.head(request));
  }
  router.route('PATCH', session, (request) => endpoint.patch(request));
  router.route('DELETE', session, (request) => endpoint.remove(request));
};

class WhepEndpoint {
  readonly #options: WhepEndpointOptions;
  readonly #links: readonly string[];

  constructor(options: WhepEndpointOptions) {
    this.#options = options;
    this.#links = options.iceServers.map(iceServerLink);
  }

  async post(exchange: MediaRequest): Promise<void> {
    const { authorizer, egress, readBody, publish, suffix } = this.#options;
    const { params, credential, request, response, signal, clientAddress } = exchange;
    const camera = params['camera'] ?? '';
    // Whether it plays or publishes stands in the body; who shows nothing at all need not have it read.
    if (credential === null) await authorizer.authorize(null, 'play', camera);
    const text = await readBody(request, 'application/sdp', MAX_OFFER_BYTES);
    const offer = parseWebRtcOffer(text);
    if (isPublishOffer(offer)) {
      await publish(exchange, text);
      return;
    }
    const principal = await authorizer.authorize(credential, 'play', camera);
    const { session, answer } = await egress.play(camera, { text, offer, clientAddress }, principal, signal);
    try {
      await authorizer.authorize(credential, 'play', camera); // taken back meanwhile, there was no session yet to close
    } catch (error) {
      session.viewer.close('credential revoked');
      throw error;
    }
    response.writeHead(201, {
      'content-type': 'application/sdp',
      'content-length': Buffer.byteLength(answer),
      'location': `/whep/${camera}${suffix}/${session.id}`,
      'etag': etagOf(session),
      'accept-patch': 'application/trickle-ice-sdpfrag',
      'cache-control': 'no-store',
      ...(this.#links.length > 0 ? { link: [...this.#links] } : {}),
    });
    response.end(answer);
  }

  /** E4: tells a client that this URL is a WHEP endpoint. */
  describe(response: MediaRequest['response']): void {
    response.writeHead(200, { 'content-type': 'application/sdp', 'content-length': 0, 'cache-control': 'no-store' });
    response.end();
  }

  async head(exchange: MediaRequest): Promise<void> {
    await this.#session(exchange);
    exchange.response.writeHead(204).end();
  }

  /** Trickled candidates. An ICE restart is not offered (422): a viewer asks anew. */
  async patch(exchange: MediaRequest): Promise<void> {
    const { request, response } = exchange;
    const session = await this.#session(exchange);
    const text = await this.#options.readBody(request, 'application/trickle-ice-sdpfrag', MAX_FRAGMENT_BYTES);
    requireCurrent(request, session);
    const fragment = parseSdpFragment(text);
    if (fragment.iceUfrag !== null && fragment.iceUfrag !== session.offerUfrag) throw restartRefused();
    for (const { candidate, mid } of fragment.candidates) session.viewer.addRemoteCandidate(candidate, mid ?? session.firstMid);
    response.writeHead(204).end();
  }

  async remove(exchange: MediaRequest): Promise<void> {
    const session = await this.#session(exchange);
    session.viewer.close('left');
    exchange.response.writeHead(200, { 'content-length': 0 }).end();
  }

  /** Throws UNAUTHENTICATED, PERMISSION_DENIED or NOT_FOUND. */
  async #session({ params, credential }: MediaRequest): Promise<WhepSession> {
    const camera = params['camera'] ?? '';
    await this.#options.authorizer.authorize(credential, 'play', camera);
    const session = this.#options.egress.session(camera, params['session'] ?? '');
    if (!session) throw new MediaError('NOT_FOUND', 'There is no such session, or it is over.');
    return session;
  }
}

/** A `sendonly` offer where there is nothing to publish to. */
export const playOnly = (): MediaError => new MediaError('UNPROCESSABLE', 'This address only plays; publish at /whip/{camera}.', { reason: 'PLAY_ONLY' });

/** Strong and quoted (RFC 9725 §4.3.1); one ICE generation per session, so it never changes. */
const etagOf = (session: WhepSession): string => `"${session.id}"`;

/** RFC 9725 §4.3.1: 428 without If-Match, 412 with a stale one; `*` asks for a restart. */
const requireCurrent = (request: IncomingMessage, session: WhepSession): void => {
  const given = request.headers['if-match'];
  if (given === undefined) throw new MediaError('FAILED_PRECONDITION', 'PATCH needs If-Match with the ETag of the session.', { reason: 'PRECONDITION_REQUIRED' });
  if (given.trim() === '*') throw restartRefused();
  if (!given.split(',').some((tag) => tag.trim() === etagOf(session))) throw new MediaError('FAILED_PRECONDITION', 'If-Match names another ICE session.', { reason: 'PRECONDITION_FAILED' });
};

const restartRefused = (): MediaError => new MediaError('UNPROCESSABLE', 'ICE restart is not supported: DELETE this session and POST a new offer.', { reason: 'ICE_RESTART' });

/** RFC 9725 §4.6. */
const iceServerLink = (server: WhepEndpointOptions['iceServers'][number]): string => {
  const parts = [`<${server.urls}>`, 'rel="ice-server"'];
  if (server.username !== undefined) parts.push(`username="${server.username}"`);
  if (server.credential !== undefined) parts.push(`credential="${server.credential}"`, 'credential-type="password"');
  return parts.join('; ');
};
