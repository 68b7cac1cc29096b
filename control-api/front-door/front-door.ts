import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../core/clock.ts';
import { MediaError, isUnavailable } from '../../core/errors.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { EdgeDirectory } from '../edge-directory.ts';
import { bearerOf } from '../guard.ts';
import { Forwarder, edgeDown } from './forwarder.ts';
import type { EdgeRoute } from './routing.ts';
import type { UploadMarks } from './upload-marks.ts';
import { Upgrader } from './upgrader.ts';

export { edgeRouteOf } from './routing.ts';
export type { EdgeRoute } from './routing.ts';

export interface FrontDoorOptions {
  readonly edges: EdgeDirectory;
  /** Creates the camera a permitted publisher names (D-12); the edge checks the credential itself. */
  readonly resolveCamera: (credential: string | null, camera: CameraId) => Promise<unknown>;
  /** Says of the ranges of uploads what their queries say; absent: nothing. */
  readonly uploadMarks?: UploadMarks;
  readonly clock: Clock;
  readonly behindProxy: boolean;
}

/** An upload's: the edge gives a body an hour. */
const LONG_ANSWER_MS: Milliseconds = 2 * 3_600_000;

/** The media URLs at the port of pages and REST: forwarded to the edge that owns the camera (D-11). */
export class FrontDoor implements Disposable {
  readonly #options: FrontDoorOptions;
  readonly #forwarder: Forwarder;
  readonly #upgrader: Upgrader;

  constructor(options: FrontDoorOptions) {
    this.#options = options;
    this.#forwarder = new Forwarder(options.clock);
    this.#upgrader = new Upgrader(options.clock);
  }

  /** Throws UNAVAILABLE when there is no edge or it does not answer; of uploads ValidationError, and what marking throws. */
  async handle(route: EdgeRoute, request: IncomingMessage, response: ServerResponse, requestId: string): Promise<void> {
    const answer = route.longBody === true && request.method === 'POST' ? this.#options.uploadMarks?.answerOf(route.camera, queryOf(request), credentialOf(request)) : undefined;
    if (route.publishes && request.method === 'POST') await this.#resolve(request, route.camera);
    await this.#forwarder.forward(await this.#base(route), route.target, request, response, { requestId, behindProxy: this.#options.behindProxy }, route.longBody === true ? { answerMs: LONG_ANSWER_MS, answer } : {});
  }

  /** Throws as `handle`. */
  async upgrade(route: EdgeRoute, request: IncomingMessage, socket: Duplex, head: Buffer, requestId: string): Promise<void> {
    await this.#upgrader.upgrade(await this.#base(route), route.target, request, socket, head, { requestId, behindProxy: this.#options.behindProxy });
  }

  [Symbol.dispose](): void {
    this.#upgrader[Symbol.dispose]();
    this.#forwarder[Symbol.dispose]();
  }

  /** Without the database no camera is made, but those that the edge knows go on publishing. */
  async #resolve(request: IncomingMessage, camera: CameraId): Promise<void> {
    try {
      await this.#options.resolveCamera(credentialOf(request), camera);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
    }
  }

  async #base(route: EdgeRoute): Promise<string> {
    const base = await this.#options.edges.mediaBaseUrl(route.camera);
    if (base === null) throw edgeDown(new Error('no edge has attached'));
    return base;
  }
}

const queryOf = (request: IncomingMessage): URLSearchParams => new URLSearchParams(request.url?.split('?')[1] ?? '');

/** Null for what only the edge can judge; it answers 401 then. */
const credentialOf = (request: IncomingMessage): string | null => {
  try {
    const shown = bearerOf(request.headers.authorization);
    return shown ?? queryOf(request).get('token');
  } catch (error) {
    if (error instanceof MediaError) return null;
    throw error;
  }
};
