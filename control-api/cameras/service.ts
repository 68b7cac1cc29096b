import type { Insertable, Kysely } from 'kysely';
import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { ModelInfo } from '../../inference/port.ts';
import type { CameraSpec } from '../../media-control/port.ts';
import type { CamerasTable, Database } from '../../platform/database/schema.ts';
import type { ModelCatalogue } from '../models.ts';
import { checkPipelines, modelOf, toDetectors } from './detectors.ts';
import { checkLight, namesLight } from './light-models.ts';
import { newKey } from './keys.ts';
import { StoredHints } from './schemas.ts';
import type { CameraPatch, NewCamera, Pipeline, Source, StoredRecording } from './schemas.ts';
import { recordingSpec } from './recording-spec.ts';
import { checkSource } from './source-check.ts';
import { CameraStore } from './store.ts';
import type { CameraRow, KeyRow, SessionRow } from './store.ts';

export type { CameraRow, KeyRow, SessionRow } from './store.ts';
export { NewCamera } from './schemas.ts';
export type { ArchiveFrames, OnEvent } from './schemas.ts';
export { DetectorReference } from './schemas.ts';
export type { RuleClip } from './scene.ts';
export { checkPipelines, toDetectors } from './detectors.ts';
export { lightOfDefault } from './light-models.ts';

/** A camera's stored JSON, read. */
export interface CameraSettings {
  readonly source: Source;
  readonly pipelines: readonly Pipeline[];
  readonly recording: StoredRecording;
  readonly extra: StoredHints;
}

export const settingsOf = (row: CameraRow): CameraSettings => ({
  source: JSON.parse(row.source) as Source,
  pipelines: JSON.parse(row.pipelines) as Pipeline[],
  recording: JSON.parse(row.recording) as StoredRecording,
  extra: StoredHints.parse(JSON.parse(row.extra)),
});

/** A camera as the edge needs it. */
export const toSpec = (row: CameraRow, inference: Config['inference']): CameraSpec => {
  const { source, pipelines, recording, extra: { qos = 'auto', priority, bandwidth_hint: bandwidthHint, codes } } = settingsOf(row);
  const preset = qos === 'auto' ? inference.qos : qos;
  return {
    id: row.id,
    name: row.name,
    source: source.type === 'file' && source.url !== undefined ? { type: 'file', url: source.url } : { type: 'push' },
    detectors: toDetectors(pipelines, inference),
    ...(preset !== 'auto' && { qos: preset }),
    ...(priority !== undefined && { priority }),
    ...(typeof bandwidthHint === 'number' && { bandwidthHint }),
    ...(codes && { codes: { fps: codes.fps, formats: codes.formats, repeatMs: Math.round(codes.repeat_seconds * 1000) } }),
    ...(row.distribution === 'off' && { distribution: row.distribution }),
    ...recordingSpec(recording),
  };
};

export interface CameraServiceOptions {
  readonly db: Kysely<Database>;
  readonly clock: Clock;
  readonly config: Config;
  readonly models: ModelCatalogue;
  /** The worker's models; rejects with UNAVAILABLE while there is no worker. */
  readonly workerModels: () => Promise<readonly ModelInfo[]>;
}

/** Cameras, their keys and sessions. A change is in the desired state before its caller gets an answer. */
export class CameraService {
  readonly #store: CameraStore;
  readonly #clock: Clock;
  readonly #config: Config;
  readonly #models: ModelCatalogue;
  readonly #workerModels: CameraServiceOptions['workerModels'];
  readonly #listeners = new Set<() => Promise<void>>();

  constructor(options: CameraServiceOptions) {
    this.#store = new CameraStore(options.db);
    this.#clock = options.clock;
    this.#config = options.config;
    this.#models = options.models;
    this.#workerModels = options.workerModels;
  }

  list(after: string | undefined, limit: number): Promise<CameraRow[]> { return this.#store.list(after, limit); }
  all(): Promise<CameraRow[]> { return this.#store.all(); }
  find(id: string): Promise<CameraRow | undefined> { return this.#store.get(id); }
  validKeys(): Promise<KeyRow[]> { return this.#store.validKeys(); }
  newestSessions(ids: readonly string[]): Promise<SessionRow[]> { return this.#store.newestSessions(ids); }

  /** Throws NOT_FOUND. */
  async get(id: string): Promise<CameraRow> {
    const row = await this.#store.get(id);
    if (row === undefined) throw notFound(id);
    return row;
  }

  /** Throws ALREADY_EXISTS, UNPROCESSABLE. `secret` is the publish key, stored nowhere. */
  async create(camera: NewCamera): Promise<{ readonly row: CameraRow; readonly secret: string }> {
    await this.#check(camera);
    const now = this.#clock.now();
    const row: CameraRow = { id: camera.id, created_at: now, updated_at: now, deleted_at: null, distribution: 'on', ...columns(camera) };
    const key = newKey(camera.id, 'publish', now);
    if (!(await this.#store.insert(row, key.row))) throw new MediaError('ALREADY_EXISTS', `There is a camera ${camera.id} already.`, { reason: 'CAMERA_EXISTS' });
    await this.#changed();
    return { row, secret: key.secret };
  }

  /** Sets everything anew. Throws NOT_FOUND, UNPROCESSABLE. */
  async replace(id: string, camera: Omit<NewCamera, 'id'>): Promise<CameraRow> {
    await this.get(id);
    await this.#check(camera);
    if (!(await this.#store.update(id, { ...columns({ ...camera, id }), updated_at: this.#clock.now() }))) throw notFound(id);
    await this.#changed();
    return this.get(id);
  }

  /** Sets what the patch names. Throws as `replace`. */
  async patch(id: string, patch: CameraPatch): Promise<CameraRow> {
    await this.get(id);
    await this.#check(patch);
    const changed = await this.#store.change(id, (row) => {
      const { extra, source, pipelines, recording } = settingsOf(row);
      const { name = row.name, source: newSource = source, pipelines: newPipelines = [...pipelines], recording: newRecording = recording, ...hints } = patch;
      return { ...columns({ ...extra, ...hints, id, name, source: newSource, pipelines: newPipelines, recording: newRecording }), updated_at: this.#clock.now() };
    });
    if (!changed) throw notFound(id);
    await this.#changed();
    return this.get(id);
  }

  /** Switches recording on or off, whatever its policy says, until `recording` is set anew. Throws NOT_FOUND. */
  async switchRecording(id: string, switched: 'on' | 'off'): Promise<CameraRow> {
    const { recording } = settingsOf(await this.get(id));
    if (recording.switched !== switched && !(await this.#store.update(id, { recording: JSON.stringify({ ...recording, switched }), updated_at: this.#clock.now() }))) throw notFound(id);
    await this.#changed();
    return this.get(id);
  }

  /** Whether the camera is shown live; holds until it is switched again, whatever else is set. Throws NOT_FOUND. */
  async switchDistribution(id: string, to: 'on' | 'off'): Promise<CameraRow> {
    const { distribution } = await this.get(id);
    if (distribution !== to && !(await this.#store.update(id, { distribution: to, updated_at: this.#clock.now() }))) throw notFound(id);
    await this.#changed();
    return this.get(id);
  }

  /** Its keys are revoked; recordings, sessions and detections stay. Throws NOT_FOUND. */
  async remove(id: string): Promise<void> {
    if (!(await this.#store.delete(id, this.#clock.now()))) throw notFound(id);
    await this.#changed();
  }

  async keys(camera: string, after: readonly [number, string] | undefined, limit: number): Promise<KeyRow[]> {
    await this.get(camera);
    return this.#store.keys(camera, after, limit);
  }

  async addKey(camera: string, kind: 'publish' | 'view'): Promise<{ readonly row: KeyRow; readonly secret: string }> {
    await this.get(camera);
    const { row, secret } = newKey(camera, kind, this.#clock.now());
    if (!(await this.#store.insertKey(row))) throw notFound(camera);
    await this.#changed();
    return { row: { ...row, revoked_at: null }, secret };
  }

  async revokeKey(camera: string, key: string): Promise<void> {
    await this.get(camera);
    if (!(await this.#store.revokeKey(camera, key, this.#clock.now()))) throw new MediaError('NOT_FOUND', 'There is no such valid key.', { reason: 'KEY_NOT_FOUND' });
    await this.#changed();
  }

  /** Newest first; of deleted cameras too, while there are any. Throws NOT_FOUND. */
  async sessions(camera: string, before: readonly [number, string] | undefined, limit: number): Promise<SessionRow[]> {
    const rows = await this.#store.sessions(camera, before, limit);
    if (rows.length === 0) await this.get(camera);
    return rows;
  }

  /**
   * Looks at `limit` sessions that ended before `cutoff`, the oldest behind `after` first, and forgets those of which no recording is
   * listed. Resolves with the last one looked at, undefined when there are no more.
   */
  deleteEndedSessions(cutoff: Milliseconds, after: readonly [number, string] | undefined, limit: number): Promise<readonly [number, string] | undefined> {
    return this.#store.deleteEndedSessions(cutoff, after, limit);
  }

  /** Called after each change, before its caller is answered. */
  onChange(listener: () => Promise<void>): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => { this.#listeners.delete(listener); } };
  }

  async #check(camera: CameraPatch): Promise<void> {
    if (camera.pipelines !== undefined) await this.#checkPipelines(camera.pipelines);
    if (camera.source !== undefined) await checkSource(camera.source, this.#config.sources.file_dir);
  }

  async #checkPipelines(pipelines: readonly Pipeline[]): Promise<void> {
    const models = await this.#models.names();
    checkPipelines(pipelines, models);
    if (!namesLight(pipelines)) return;
    // A worker that is away for now keeps nobody from setting a camera.
    checkLight(pipelines, (id) => modelOf(id, this.#config.inference), models, await this.#workerModels().catch(() => []));
  }

  async #changed(): Promise<void> {
    for (const listener of this.#listeners) await listener();
  }
}

const columns = (camera: Omit<NewCamera, 'recording'> & { readonly recording: StoredRecording }): Pick<Insertable<CamerasTable>, 'name' | 'source' | 'pipelines' | 'recording' | 'extra'> => {
  const { id, name, source, pipelines, recording, ...extra } = camera;
  return { name: name ?? id, source: JSON.stringify(source), pipelines: JSON.stringify(pipelines), recording: JSON.stringify(recording), extra: JSON.stringify(extra) };
};

const notFound = (id: string): MediaError => new MediaError('NOT_FOUND', `There is no camera ${id}.`, { reason: 'CAMERA_NOT_FOUND', context: { camera: id } });
