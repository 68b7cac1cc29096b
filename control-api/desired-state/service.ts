import { hash } from 'node:crypto';
import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../core/clock.ts';
import { CAMERA_ID } from '../../core/frame-ref.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import { MediaError, invariant, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import type { AuditService } from '../audit/service.ts';
import type { AuthService } from '../auth/service.ts';
import { NewCamera, settingsOf, toSpec } from '../cameras/service.ts';
import type { CameraRow, CameraService } from '../cameras/service.ts';
import { may } from '../permissions.ts';
import type { DesiredCamera, DesiredState, DesiredStateSource, KeptSource } from './state.ts';
import type { RetentionHoldService } from '../retention-hold/service.ts';

export type { DesiredCamera, DesiredState, DesiredStateSource } from './state.ts';

/** The database is read again so often by default, for changes by the command line or an edge's inventory. */
const REREAD_MS: Milliseconds = 1000;

export interface DesiredStateServiceOptions {
  readonly cameras: CameraService;
  readonly auth: AuthService;
  readonly audit: AuditService;
  readonly marks: KeptSource;
  readonly holds: RetentionHoldService;
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How often the database is read again; default 1000. */
  readonly rereadMs?: Milliseconds;
}

/** Computes the desired state at each change of cameras, keys or tokens. `start()` before `current()`. */
export class DesiredStateService implements DesiredStateSource, Disposable {
  readonly #options: DesiredStateServiceOptions;
  readonly #listeners = new Set<(state: DesiredState) => unknown>();
  /** What the listeners do about the newest state. */
  #followed: Promise<unknown> = Promise.resolve();
  readonly #stack = new DisposableStack();
  #state: DesiredState | null = null;
  #reading: Promise<void> | null = null;
  #again = false;
  /** Told already; it would be told again at every read. */
  #failure = '';

  constructor(options: DesiredStateServiceOptions) {
    this.#options = options;
  }

  /** Reads the database and follows it from now on. */
  async start(): Promise<void> {
    await this.refresh();
    this.#stack.use(this.#options.cameras.onChange(async () => {
      await this.refresh();
      await this.#followed;
    }));
    this.#stack.use(this.#options.marks.onChange(() => this.refresh()));
    this.#stack.use(this.#options.holds.onChange(() => this.refresh()));
    this.#stack.use(this.#options.auth.onChange(() => { this.#refreshLater(); }));
    this.#stack.use(this.#options.clock.every(this.#options.rereadMs ?? REREAD_MS, () => { this.#refreshLater(); }));
  }

  current(): DesiredState {
    invariant(this.#state, 'the desired state is read before it is asked for');
    return this.#state;
  }

  onChange(listener: (state: DesiredState) => unknown): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => { this.#listeners.delete(listener); } };
  }

  /** Resolves when a read that began after this call is done. Calls that come together share one. */
  refresh(): Promise<void> {
    if (this.#reading === null) {
      this.#reading = this.#read();
      return this.#reading;
    }
    this.#again = true;
    return this.#reading;
  }

  async resolveCamera(credential: string | null, camera: CameraId): Promise<DesiredCamera | undefined> {
    if (!CAMERA_ID.test(camera)) return undefined;
    const known = await this.#options.cameras.find(camera);
    if (known !== undefined) return this.#camera(known);
    if (!this.#options.config.cameras.create_on_publish || credential === null) return undefined;
    try {
      const principal = await this.#options.auth.authenticate(credential);
      if (!may(principal.permissions, 'camera:manage')) return undefined;
      const { row } = await this.#options.cameras.create(NewCamera.parse({ id: camera }));
      this.#options.audit.record({ principal: principal.username, action: 'camera:create', target: camera, detail: { on_publish: true } });
      return this.#camera(row);
    } catch (error) {
      if (!(error instanceof MediaError)) throw error;
      if (error.code === 'UNAUTHENTICATED') return undefined;
      // Another publisher of the same name was faster.
      const created = error.code === 'ALREADY_EXISTS' ? await this.#options.cameras.find(camera) : undefined;
      if (created === undefined) throw error;
      return this.#camera(created);
    }
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
    this.#listeners.clear();
  }

  #refreshLater(): void {
    this.refresh().then(
      () => { this.#failure = ''; },
      (error: unknown) => {
        if (this.#failure === messageOf(error)) return;
        this.#failure = messageOf(error);
        this.#options.logger.error({ err: error }, 'desired state not read, edges keep the one they have');
      },
    );
  }

  #camera(row: CameraRow): DesiredCamera {
    return { ...toSpec(row, this.#options.config.inference), controlJson: JSON.stringify(settingsOf(row)) };
  }

  async #read(): Promise<void> {
    try {
      do {
        this.#again = false;
        await this.#readOnce();
        // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- set by others during the await
      } while (this.#again);
    } finally {
      // In the same step as the last look at `#again`: a call after this starts a read of its own.
      this.#reading = null;
    }
  }

  async #readOnce(): Promise<void> {
    const { auth, cameras, marks, holds } = this.#options;
    await auth.load();
    const confirmedHold = await holds.confirmed();
    const rest: Omit<DesiredState, 'version'> = {
      cameras: (await cameras.all()).map((row) => this.#camera(row)),
      keys: (await cameras.validKeys()).map((key) => ({ id: key.id, camera: key.camera_id, grants: key.kind, hash: key.hash, ha1: key.ha1 })),
      tokenKeys: auth.tokenKeys(),
      revokedTokens: await auth.revokedTokens(),
      kept: await marks.kept(),
      ...(confirmedHold !== undefined && { confirmedHold }),
    };
    const version = hash('sha256', JSON.stringify(rest), 'hex');
    if (version === this.#state?.version) return;
    this.#state = { version, ...rest };
    const state = this.#state;
    this.#followed = Promise.all([...this.#listeners].map((listener) => listener(state)));
  }
}
