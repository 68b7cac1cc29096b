import { readFileSync } from 'node:fs';
import { mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Clock } from '../core/clock.ts';
import { isCodeFormat } from '../core/code-formats.ts';
import type { CameraId } from '../core/frame-ref.ts';
import { messageOf } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Logger } from '../platform/logging.ts';
import { DesiredStateSchema } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import type { Camera, CodeReading as WireCodes, DesiredState } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import type { CameraSpec, KeptRange } from './port.ts';
import { sceneOf } from './wire-scene.ts';

/** One of a later version is as none. */
const isPreset = (qos: string | undefined): qos is NonNullable<CameraSpec['qos']> => qos === 'high' || qos === 'medium' || qos === 'low';

/** Formats of a later version are left out; where none is left, none are read. */
const codesOf = (codes: WireCodes | undefined): Pick<CameraSpec, 'codes'> => {
  const formats = codes?.formats.filter(isCodeFormat) ?? [];
  return codes && formats.length > 0 && codes.fps > 0 ? { codes: { fps: codes.fps, formats, repeatMs: Math.max(0, codes.repeatMs) } } : {};
};

/** A camera of the desired state as the edge's modules know it. */
export const toCameraSpec = (camera: Camera): CameraSpec => ({
  id: camera.id,
  name: camera.name,
  source: camera.source.case === 'file' ? { type: 'file', url: camera.source.value.url } : { type: 'push' },
  detectors: camera.detectors.map(({ id, model, fps, confidence, light, trackingOff, scene }) => ({
    id, model, fps, confidence: confidence ?? null, ...(light.length > 0 && { light: [...light] }), ...(trackingOff && { tracking: false as const }), ...(scene && { scene: sceneOf(scene) }),
  })),
  recording: camera.recording === 'off' ? 'off' : 'always',
  ...(isPreset(camera.qos) && { qos: camera.qos }),
  ...(camera.priority !== undefined && { priority: Math.min(10, Math.max(1, camera.priority)) }),
  ...(camera.bandwidthHint !== undefined && camera.bandwidthHint > 0 && { bandwidthHint: camera.bandwidthHint }),
  ...codesOf(camera.codes),
  ...(camera.distributionOff && { distribution: 'off' as const }),
  ...(camera.hours && { hours: { timezone: camera.hours.timezone, times: camera.hours.times.map(({ days, from, to }) => ({ days: [...days], from, to })) } }),
  ...((camera.windowMinutes ?? camera.maxBytes) !== undefined && { window: { minutes: camera.windowMinutes ?? null, maxBytes: camera.maxBytes === undefined ? null : Number(camera.maxBytes) } }),
});

/** CRC-32 of the rest, then the message. */
const encode = (state: DesiredState): Buffer => {
  const body = toBinary(DesiredStateSchema, state);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(crc32(body));
  return Buffer.concat([head, body]);
};

/** Undefined for bytes that are not a desired state. */
export const decodeDesiredState = (bytes: Buffer): DesiredState | undefined => {
  if (bytes.length < 4 || crc32(bytes.subarray(4)) !== bytes.readUInt32BE(0)) return undefined;
  try {
    return fromBinary(DesiredStateSchema, bytes.subarray(4));
  } catch {
    return undefined;
  }
};

/**
 * What control wants of this edge, kept on disk: the edge starts from it while control is down (D-9). A new state counts at once;
 * the file follows (a crash in between costs nothing: control sends it again).
 */
export class DesiredStateStore implements AsyncDisposable {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  #state: DesiredState | undefined;
  #cameras: ReadonlyMap<CameraId, CameraSpec> = new Map();
  #saving: Promise<void> | undefined;
  #unsaved = false;

  /** Reads the file. One that is missing or damaged is as none: the edge then waits for control. */
  constructor(options: { readonly path: string; readonly logger: Logger; readonly clock: Clock }) {
    this.#path = options.path;
    this.#logger = options.logger;
    this.#clock = options.clock;
    let bytes: Buffer | undefined;
    try {
      bytes = readFileSync(options.path);
    } catch {
      // The first start.
    }
    const state = bytes && decodeDesiredState(bytes);
    if (bytes && !state) options.logger.warn({ path: options.path }, 'desired state: the file is damaged, waiting for control');
    if (state) this.#take(state);
  }

  /** Empty while none is known. */
  get version(): string { return this.#state?.version ?? ''; }
  get state(): DesiredState | undefined { return this.#state; }
  /** `host:port` or `unix:/path` of the workers. */
  get workerAddresses(): readonly string[] { return this.#state?.workerAddresses ?? []; }

  /** Recordings to spare; undefined while no state is known. */
  get kept(): readonly KeptRange[] | undefined { return this.#state?.kept; }
  /** The hold of retention that was confirmed last, Unix ms. */
  get confirmedHold(): Milliseconds | undefined { return this.#state?.confirmedHold; }

  cameras(): readonly CameraSpec[] { return [...this.#cameras.values()]; }
  camera(id: CameraId): CameraSpec | undefined { return this.#cameras.get(id); }

  /** Takes a new state; listeners run before this returns. */
  apply(state: DesiredState): void {
    if (state.version === this.version) return;
    this.#take(state);
    this.#unsaved = true;
    this.#saving ??= this.#save();
    for (const listener of this.#listeners) listener();
  }

  /** Called after each new state. Disposing removes the listener. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /** Resolves with the camera once it is in the state, or with undefined after `withinMs`. */
  async waitFor(id: CameraId, withinMs: Milliseconds): Promise<CameraSpec | undefined> {
    const known = this.camera(id);
    if (known) return known;
    const { promise, resolve } = Promise.withResolvers<CameraSpec | undefined>();
    using _timer = this.#clock.after(withinMs, () => { resolve(undefined); });
    using _listening = this.onChange(() => {
      const camera = this.camera(id);
      if (camera) resolve(camera);
    });
    return await promise;
  }

  /** Resolves when the file holds the newest state. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#saving;
    this.#listeners.clear();
  }

  #take(state: DesiredState): void {
    this.#state = state;
    this.#cameras = new Map(state.cameras.map((camera) => [camera.id, toCameraSpec(camera)]));
  }

  async #save(): Promise<void> {
    try {
      while (this.#unsaved && this.#state) {
        this.#unsaved = false;
        await mkdir(dirname(this.#path), { recursive: true });
        await using file = await open(`${this.#path}.new`, 'w', 0o600);
        await file.writeFile(encode(this.#state));
        await file.sync();
        await rename(`${this.#path}.new`, this.#path);
      }
    } catch (error) {
      this.#logger.error({ error: messageOf(error), path: this.#path }, 'desired state: cannot be written');
    } finally {
      this.#saving = undefined;
    }
  }
}
