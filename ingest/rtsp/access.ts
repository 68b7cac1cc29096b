import { MediaError } from '../../core/errors.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { Clock } from '../../core/clock.ts';
import type { Authorizer, MediaAction } from '../../media-control/port.ts';
import { RTSP_REALM } from '../../core/rtsp-realm.ts';
import { challenges, digestMatches, NonceIssuer, parseAuthorization } from '../../transport/rtsp/auth.ts';
import type { DigestCredentials } from '../../transport/rtsp/auth.ts';
import { header } from '../../transport/rtsp/message.ts';
import type { RtspRequest } from '../../transport/rtsp/message.ts';
import type { RtspUri } from '../../transport/rtsp/uri.ts';

/** Who is let in: the id whose revocation closes the session, and the credential for `CameraResolver` (null by Digest). */
export interface Admission {
  readonly principalId: string;
  readonly credential: string | null;
}

/** 401 that is not a failed attempt but asks for one, or asks for another nonce. */
export class ChallengeError extends MediaError {
  readonly stale: boolean;

  constructor(message: string, stale: boolean) {
    super('UNAUTHENTICATED', message);
    this.stale = stale;
  }
}

export interface RtspAccessOptions {
  readonly schemes: readonly ('basic' | 'digest')[];
  readonly authorizer: Authorizer;
  readonly clock: Clock;
  /** Random bytes that sign the nonces. */
  readonly secret: Buffer;
}

/** The door of the RTSP server: credentials of contract 0.4 → `Authorizer`. */
export class RtspAccess {
  readonly #options: RtspAccessOptions;
  readonly #nonces: NonceIssuer;

  constructor(options: RtspAccessOptions) {
    this.#options = options;
    this.#nonces = new NonceIssuer(options.secret);
  }

  /** Throws UNAUTHENTICATED or PERMISSION_DENIED. */
  async admit(request: RtspRequest, uri: RtspUri, action: MediaAction): Promise<Admission> {
    const { schemes, authorizer } = this.#options;
    const value = header(request, 'authorization');
    const authorization = value === null ? null : parseAuthorization(value);
    if (authorization?.scheme === 'digest' && schemes.includes('digest')) return this.#digest(authorization, request, uri.camera, action);
    const credential = authorization?.scheme === 'basic' && schemes.includes('basic') ? authorization.password : uri.token;
    if (credential === null || credential === '') throw new ChallengeError('credentials are required', false);
    const principal = await authorizer.authorize(credential, action, uri.camera);
    return { principalId: principal.id, credential };
  }

  /** The WWW-Authenticate fields of a 401. */
  challenge(error: MediaError): readonly (readonly [string, string])[] {
    return challenges(this.#options.schemes, this.#nonces.issue(this.#options.clock.now()), error instanceof ChallengeError && error.stale);
  }

  #digest(credentials: DigestCredentials, request: RtspRequest, camera: CameraId, action: MediaAction): Admission {
    const { authorizer, clock } = this.#options;
    const nonce = this.#nonces.check(credentials.nonce, clock.now());
    if (nonce !== 'valid') throw new ChallengeError('the nonce is not valid any more', nonce === 'stale');
    // The digest covers its own uri field: it must be the request's, or the presentation's that some clients send throughout.
    const covers = credentials.uri === request.uri || request.uri.startsWith(`${credentials.uri}/`);
    if (covers && credentials.realm === RTSP_REALM && credentials.username === camera) {
      for (const { keyId, ha1 } of authorizer.digestHa1s(camera, action)) {
        if (digestMatches(credentials, ha1, request.method)) return { principalId: keyId, credential: null };
      }
    }
    throw new MediaError('UNAUTHENTICATED', 'wrong credentials');
  }
}
