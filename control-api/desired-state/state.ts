/**
 * What every edge is told (D-9): computed from the database, the same for all edges of first light.
 *
 * Access tokens, as the edge verifies them offline (D-13): RS256, header `kid` names one of `tokenKeys`, claims
 * `{iss: 'imageflow-edge', sub: user id, username, role, permissions: string[], jti, sid, iat, exp}`. Publishing asks for
 * `stream:publish`, playing for `stream:view`, creating an unknown camera for `camera:manage`; `*` grants all.
 */
import type { JWK } from 'jose';
import type { CameraId } from '../../core/frame-ref.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { CameraSpec, KeptRange } from '../../media-control/port.ts';

/** A camera as the edge needs it, and what only control understands of it. */
export interface DesiredCamera extends CameraSpec {
  /** JSON `{source, pipelines, recording, extra}` as stored, so that a control process that lost its database can adopt the camera again. */
  readonly controlJson: string;
}

/** A camera key by its hash; the key itself is stored nowhere. */
export interface DesiredKey {
  readonly id: string;
  readonly camera: CameraId;
  readonly grants: 'publish' | 'view';
  /** SHA-256 of the key, hex. */
  readonly hash: string;
  /** MD5(camera:realm:key), hex, with realm `imageflow` (RTSP Digest). */
  readonly ha1: string;
}

/** A public key that access tokens are signed with. */
export interface TokenKey {
  readonly kid: string;
  readonly jwk: JWK;
}

export interface DesiredState {
  /** SHA-256 of the rest, hex: two states of the same content have the same version, across restarts. */
  readonly version: string;
  readonly cameras: readonly DesiredCamera[];
  readonly keys: readonly DesiredKey[];
  readonly tokenKeys: readonly TokenKey[];
  /** `jti` of access tokens revoked before they expire. */
  readonly revokedTokens: readonly string[];
  /** Recordings that retention spares. */
  readonly kept: readonly KeptRange[];
  /** The hold of retention that an operator confirmed last, by its alarm's time. */
  readonly confirmedHold?: Milliseconds;
}

/** Who says what outlives the rolling window. */
export interface KeptSource {
  /** Ranges to keep on the edge's disk. */
  kept(): Promise<readonly KeptRange[]>;
  /** Called after each change of a mark, before its caller is answered. Disposing removes the listener. */
  onChange(listener: () => Promise<void>): Disposable;
}

/** Where `control-api/edges` gets what it pushes to edges. */
export interface DesiredStateSource {
  /** The newest state. */
  current(): DesiredState;
  /**
   * Called after each change of `current()`. Who changes a camera is answered when promises that listeners return have resolved, too: these
   * bound how long that may take. Disposing removes the listener.
   */
  onChange(listener: (state: DesiredState) => unknown): Disposable;
  /** Reads the database again at once, for a writer that is not this API (an edge's inventory was adopted). */
  refresh(): Promise<void>;
  /**
   * D-12: the camera with this id, created when there is none and the credential is an access token with `camera:manage`.
   * Undefined: there is none, and the credential may not create it.
   */
  resolveCamera(credential: string | null, camera: CameraId): Promise<DesiredCamera | undefined>;
}
