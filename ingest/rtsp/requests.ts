import { MediaError } from '../../core/errors.ts';
import type { CameraResolver } from '../../media-control/port.ts';
import { header } from '../../transport/rtsp/message.ts';
import type { RtspAnswer, RtspRequest } from '../../transport/rtsp/message.ts';
import { parseTransport } from '../../transport/rtsp/transport-header.ts';
import { parseRtspUri } from '../../transport/rtsp/uri.ts';
import type { RtspUri } from '../../transport/rtsp/uri.ts';
import type { StreamRegistry } from '../port.ts';
import type { RtspAccess } from './access.ts';
import { RtspPublisher } from './publisher.ts';
import type { RtspPublisherOptions } from './publisher.ts';

const PUBLIC = 'OPTIONS, ANNOUNCE, SETUP, RECORD, TEARDOWN, GET_PARAMETER, SET_PARAMETER';
/** Told to the client; any request, RTP or RTCP packet counts (RFC 2326 §12.37). */
export const SESSION_TIMEOUT_SECONDS = 60;
/** A camera created a moment ago may not have reached this process yet. */
const RETRY_AFTER_SECONDS = 1;

export interface RtspRequestsOptions {
  readonly access: RtspAccess;
  readonly streams: StreamRegistry;
  readonly cameras: CameraResolver;
  readonly sessionId: string;
  readonly publisher: RtspPublisherOptions;
}

/** The methods of RFC 2326 §10 for one connection, which carries at most one session. */
export class RtspRequests {
  readonly #options: RtspRequestsOptions;
  #publisher: RtspPublisher | null = null;
  #principalId: string | null = null;

  constructor(options: RtspRequestsOptions) {
    this.#options = options;
  }

  /** The session of this connection, once announced. */
  get publisher(): RtspPublisher | null {
    return this.#publisher;
  }

  get principalId(): string | null {
    return this.#principalId;
  }

  /** Answers one request. Throws MediaError; `isClosed` tells whether the connection ended meanwhile. */
  async handle(request: RtspRequest, isClosed: () => boolean): Promise<RtspAnswer> {
    const refusal = refuseForm(request);
    if (refusal) return refusal;
    switch (request.method) {
      case 'OPTIONS':
        return { status: 200, headers: [['Public', PUBLIC]] };
      case 'ANNOUNCE':
        return this.#announce(request, isClosed);
      case 'SETUP':
        return this.#setup(request);
      case 'RECORD':
        return this.#inSession(request, (publisher, uri) => publisher.record(publisher.sectionOf(uri.control, request.uri) ?? null));
      case 'TEARDOWN':
        return this.#inSession(request, (publisher) => publisher.teardown());
      case 'GET_PARAMETER':
      case 'SET_PARAMETER':
        return this.#keepAlive(request);
      case 'DESCRIBE':
        return this.#describe(request);
      default: // PLAY, PAUSE, REDIRECT and what there may be
        return { status: 501, headers: [['Public', PUBLIC]] };
    }
  }

  async #announce(request: RtspRequest, isClosed: () => boolean): Promise<RtspAnswer> {
    const { access, cameras, streams } = this.#options;
    if (this.#publisher) return { status: 455 };
    const uri = uriOf(request);
    const admission = await access.admit(request, uri, 'publish');
    if (!/^application\/sdp\b/i.test(header(request, 'content-type') ?? '')) throw new MediaError('UNSUPPORTED_MEDIA_TYPE', 'ANNOUNCE carries application/sdp');
    const spec = await cameras.resolve(uri.camera, admission.credential);
    if (!spec) throw new MediaError('NOT_FOUND', 'no such camera');
    if (spec.source.type !== 'push') throw new MediaError('FAILED_PRECONDITION', 'this camera is not published to: its source is another', { context: { source: spec.source.type } });
    await access.admit(request, uri, 'publish'); // taken back meanwhile, there was no session yet to close
    const stream = streams.get(uri.camera);
    if (!stream) throw new MediaError('UNAVAILABLE', 'the camera is not ready yet', { retryAfterSeconds: RETRY_AFTER_SECONDS });
    if (isClosed()) return { status: 503 };
    this.#publisher = new RtspPublisher(stream, request.body.toString('utf8'), this.#options.publisher);
    this.#principalId = admission.principalId;
    return { status: 200 };
  }

  #setup(request: RtspRequest): RtspAnswer {
    const publisher = this.#publisher;
    const uri = uriOf(request);
    const session = header(request, 'session');
    if (session !== null && !this.#isOurs(session)) return { status: 454 };
    if (!publisher) return { status: 455 };
    const section = uri.camera === publisher.camera ? publisher.sectionOf(uri.control, request.uri) : undefined;
    if (section === undefined) throw new MediaError('NOT_FOUND', 'no such track');
    const { status, transport } = publisher.setup(section, parseTransport(header(request, 'transport') ?? ''));
    return transport === undefined ? { status } : { status, headers: [['Transport', transport], this.#session()] };
  }

  #inSession(request: RtspRequest, perform: (publisher: RtspPublisher, uri: RtspUri) => number): RtspAnswer {
    const publisher = this.#publisher;
    if (!publisher || !this.#isOurs(header(request, 'session') ?? '')) return { status: 454 };
    const uri = uriOf(request);
    if (uri.camera !== publisher.camera) throw new MediaError('NOT_FOUND', 'the session is another camera\'s');
    return { status: perform(publisher, uri), headers: [this.#session()] };
  }

  #keepAlive(request: RtspRequest): RtspAnswer {
    const session = header(request, 'session');
    if (session === null) return { status: 200 };
    return this.#publisher && this.#isOurs(session) ? { status: 200, headers: [this.#session()] } : { status: 454 };
  }

  /** Playing by RTSP is not offered yet; who may not play learns nothing of what there is. */
  async #describe(request: RtspRequest): Promise<RtspAnswer> {
    const uri = uriOf(request);
    await this.#options.access.admit(request, uri, 'play');
    return { status: this.#options.streams.get(uri.camera) ? 501 : 404 };
  }

  #isOurs(session: string): boolean {
    return session.split(';', 1)[0]?.trim() === this.#options.sessionId;
  }

  #session(): readonly [string, string] {
    return ['Session', `${this.#options.sessionId};timeout=${String(SESSION_TIMEOUT_SECONDS)}`];
  }
}

/** What is wrong with a request whatever its method: version (505), CSeq (400), required options we do not have (551). */
const refuseForm = (request: RtspRequest): RtspAnswer | null => {
  if (request.version !== '1.0') return { status: 505 };
  const cseq = header(request, 'cseq');
  if (cseq === null || !/^\d{1,10}$/.test(cseq)) return { status: 400 };
  const required = header(request, 'require') ?? header(request, 'proxy-require');
  return required === null ? null : { status: 551, headers: [['Unsupported', required]] };
};

const uriOf = (request: RtspRequest): RtspUri => {
  const uri = parseRtspUri(request.uri);
  if (!uri) throw new MediaError('NOT_FOUND', 'no such camera');
  return uri;
};
