import { createHash } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Kysely } from 'kysely';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import { FileSource } from '../../platform/object-store/file-source.ts';
import type { ObjectStore } from '../../platform/object-store/object-store.ts';
import { settingsOf } from '../cameras/service.ts';
import type { ArchiveFrames, CameraService } from '../cameras/service.ts';
import type { DesiredStateSource } from '../desired-state/service.ts';
import type { DetectionService } from '../detections/service.ts';
import type { EventService } from '../events/service.ts';
import type { RecordingService } from '../recordings/service.ts';
import { timestamp } from '../schemas.ts';
import { frameEvent } from './event.ts';
import { FrameChoice } from './frame-choice.ts';
import type { ChosenFrame, SeenFrame } from './frame-choice.ts';
import { descriptionKey, frameId, frameKey } from './keys.ts';
import { memorySource } from './memory-source.ts';
import { FrameStore } from './store.ts';
import type { FrameFilter, FrameRow } from './store.ts';

export type { SeenFrame } from './frame-choice.ts';
export type { FrameFilter, FrameRow } from './store.ts';

/** Who chose, in `created_by`. */
const BY = 'policy: detected';
const PERIOD: Milliseconds = 1_000;
/** A picture is in the recording by then: parts are written every 200 ms, and their rows come once a second. */
const SETTLE: Milliseconds = 2_500;
/** What is not in the recording after so long will not be: the camera was not recorded then, or its window has passed. */
const GIVE_UP: Milliseconds = 120_000;
/** A picture this far from the moment is another one: half of a sixtieth of a second. Within a part recorded time bends by 4 ms at most. */
const SAME_PICTURE: Milliseconds = 8;
/** Pictures that wait, each some 200 KiB on the disk at most while the object store takes nothing. */
const MAX_OPEN = 10_000;
/** Chosen in one period; the database is slower than that. */
const MAX_PENDING = 1_000;
const BATCH = 32;
const MAX_DETECTIONS = 1_000;
const FIRST_PAUSE: Milliseconds = 5_000;
const LONGEST_PAUSE: Milliseconds = 60_000;

export interface FrameArchiveDeps {
  readonly db: Kysely<Database>;
  readonly cameras: CameraService;
  readonly desired: Pick<DesiredStateSource, 'onChange'>;
  readonly recordings: RecordingService;
  readonly detections: DetectionService;
  readonly events: EventService;
  readonly objects: ObjectStore;
  /** Where JPEGs wait for the object store. */
  readonly directory: string;
  /** How long they stay there. */
  readonly keepMs: Milliseconds;
  /** Nobody deletes them before that is lifted. */
  readonly legalHold: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'archivedFrames' | 'droppedFrames'>;
}

/**
 * Single pictures in the object store, chosen by what was detected in them or by hand (SD-51). Each is made of the recording, the very picture of
 * its moment, put on the disk, and sent from there with a JSON of what was seen, so that an outage of the store costs none. A killed process goes on
 * where it was: what is open is in the database.
 */
export class FrameArchive implements AsyncDisposable {
  readonly #deps: FrameArchiveDeps;
  readonly #store: FrameStore;
  readonly #choice = new FrameChoice();
  readonly #stack = new DisposableStack();
  readonly #stop = new AbortController();
  #pending: ChosenFrame[] = [];
  #working: Promise<void> | undefined;
  #open = 0;
  /** The object store is left alone until then (monotonic). */
  #quietUntil: Milliseconds = -Infinity;
  #pause = FIRST_PAUSE;

  constructor(deps: FrameArchiveDeps) {
    this.#deps = deps;
    this.#store = new FrameStore(deps.db);
  }

  /** Reads the cameras' rules and follows them; goes on with what an earlier process left. */
  async start(): Promise<void> {
    const { cameras, desired, clock, logger } = this.#deps;
    await this.#readRules();
    this.#stack.use(cameras.onChange(() => this.#readRules()));
    this.#stack.use(desired.onChange(() => {
      this.#readRules().catch((error: unknown) => { logger.error({ error: messageOf(error) }, 'which pictures go to the archive was not read'); });
    }));
    this.#stack.use(clock.every(PERIOD, () => { this.#work(); }));
  }

  /** Looks for pictures that are chosen. Cameras without a rule cost a look into a map. */
  observe(pictures: readonly SeenFrame[]): void {
    for (const chosen of this.#choice.choose(pictures)) {
      if (this.#pending.length >= MAX_PENDING || this.#open + this.#pending.length >= MAX_OPEN) this.#deps.metrics.droppedFrames.inc({ camera: chosen.camera, reason: 'queue_full' });
      else this.#pending.push(chosen);
    }
  }

  /** Chooses the picture shown at `at`. Throws NOT_FOUND when nothing was recorded then, RESOURCE_EXHAUSTED when too many wait. */
  async choose(camera: string, at: Milliseconds, by: string | null): Promise<FrameRow> {
    if (this.#open >= MAX_OPEN) throw new MediaError('RESOURCE_EXHAUSTED', `${String(MAX_OPEN)} pictures wait for the archive already.`, { reason: 'TOO_MANY_FRAMES', retryAfterSeconds: 60 });
    const { wall } = await this.#deps.recordings.picture(camera, at, null, 'jpeg');
    const row = this.#row({ camera, capturedAt: wall, classes: [] }, 'manual', by);
    await this.#store.insert([row]);
    if ((await this.get(row.id)).state === 'failed') await this.#store.setWaiting(row.id);
    this.#work();
    return await this.get(row.id);
  }

  /** Throws NOT_FOUND. */
  async get(id: string): Promise<FrameRow> {
    const row = await this.#store.get(id);
    if (row === undefined) throw new MediaError('NOT_FOUND', 'There is no such picture in the archive.', { reason: 'FRAME_NOT_FOUND' });
    return row;
  }

  list(filter: FrameFilter, before: readonly [number, string] | undefined, limit: number): Promise<FrameRow[]> {
    return this.#store.list(filter, before, limit);
  }

  /** The JPEG from the object store. Throws NOT_FOUND, FAILED_PRECONDITION while it is not there yet, and as the store's `get`. */
  async bytes(row: FrameRow, signal: AbortSignal): Promise<Buffer> {
    if (row.state !== 'stored') throw new MediaError('FAILED_PRECONDITION', row.error ?? 'The picture is not in the archive yet.', { reason: 'FRAME_NOT_STORED' });
    return await this.#deps.objects.get(row.object_key, 0, row.bytes ?? 0, signal);
  }

  /** For the hourly sweep: takes some pictures out of the archive that are older than they may be; where to go on. One under a legal hold stays, and in the list. */
  async deletePast(now: Milliseconds, from: readonly [number, string] = [0, '']): Promise<readonly [number, string] | undefined> {
    const past = await this.#store.past(now - this.#deps.keepMs, from, BATCH);
    for (const row of past) if (row.state === 'failed' || (await this.#takeOut(row.object_key))) await this.#store.remove(row.id);
    const last = past.at(-1);
    return last === undefined || past.length < BATCH ? undefined : [last.captured_at_ms, last.id];
  }

  /** False: it is held. */
  async #takeOut(key: string): Promise<boolean> {
    try {
      for (const each of [key, descriptionKey(key)]) await this.#deps.objects.delete(each, this.#stop.signal);
      return true;
    } catch (error) {
      if (error instanceof MediaError && error.reason === 'OBJECT_LOCKED') return false;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stack.dispose();
    await this.#working;
    await this.#takePending().catch((error: unknown) => { this.#deps.logger.error({ error: messageOf(error) }, 'chosen pictures are lost'); });
    this.#stop.abort(new Error('the server stops'));
  }

  async #readRules(): Promise<void> {
    const rules = new Map<string, ArchiveFrames>();
    for (const row of await this.#deps.cameras.all()) {
      const { archive_frames } = settingsOf(row).recording;
      if (archive_frames !== undefined) rules.set(row.id, archive_frames);
    }
    this.#choice.follow(rules);
  }

  #row({ camera, capturedAt, classes }: ChosenFrame, reason: FrameRow['reason'], by: string | null): FrameRow {
    const key = frameKey(camera, capturedAt);
    return {
      id: frameId(key), camera_id: camera, captured_at_ms: capturedAt, reason, classes: JSON.stringify(classes), state: 'waiting', object_key: key, width: null, height: null, bytes: null, sha256: null,
      error: null, created_at: Math.floor(this.#deps.clock.now()), created_by: by, stored_at: null,
    };
  }

  #work(): void {
    this.#working ??= this.#round()
      .catch((error: unknown) => { if (!this.#stop.signal.aborted) this.#deps.logger.error({ error: messageOf(error) }, 'pictures do not go to the archive now'); })
      .finally(() => { this.#working = undefined; });
  }

  async #takePending(): Promise<void> {
    const chosen = this.#pending;
    this.#pending = [];
    try {
      await this.#store.insert(chosen.map((each) => this.#row(each, 'detected', BY)));
    } catch (error) {
      this.#pending = [...chosen, ...this.#pending].slice(0, MAX_PENDING);
      throw error;
    }
  }

  /** Everything that is open once, oldest first. */
  async #round(): Promise<void> {
    await this.#takePending();
    this.#open = await this.#store.countOpen();
    if (this.#open === 0) return;
    const until = this.#deps.clock.now() - SETTLE;
    let after: readonly [number, string] = [0, ''];
    for (;;) {
      const rows = await this.#store.open(until, after, BATCH);
      for (const row of rows) {
        if (this.#stop.signal.aborted) return;
        await this.#advance(row);
        after = [row.captured_at_ms, row.id];
      }
      if (rows.length < BATCH) return;
    }
  }

  async #advance(row: FrameRow): Promise<void> {
    const made = row.state === 'made' ? row : await this.#make(row);
    if (made === undefined || this.#deps.clock.monotonic() < this.#quietUntil) return;
    try {
      await this.#send(made);
      this.#pause = FIRST_PAUSE;
    } catch (error) {
      if (error instanceof MediaError && (error.reason?.startsWith('SOURCE_') === true || error.reason === 'CHECKSUM_MISMATCH')) {
        await this.#store.setWaiting(row.id); // what lay on the disk is gone or damaged
        return;
      }
      if (this.#stop.signal.aborted) return;
      this.#deps.logger.warn({ camera: row.camera_id, key: row.object_key, error: messageOf(error), pauseMs: this.#pause }, 'the archive takes no pictures now; they wait on the disk');
      this.#quietUntil = this.#deps.clock.monotonic() + this.#pause;
      this.#pause = Math.min(LONGEST_PAUSE, 2 * this.#pause);
    }
  }

  /** Puts the JPEG on the disk. Undefined: not now, or never. */
  async #make(row: FrameRow): Promise<FrameRow | undefined> {
    const { recordings, directory, clock, logger, metrics } = this.#deps;
    try {
      const picture = await recordings.picture(row.camera_id, row.captured_at_ms, null, 'jpeg');
      if (Math.abs(picture.wall - row.captured_at_ms) > SAME_PICTURE) throw new MediaError('NOT_FOUND', 'This picture is not in the recording.', { reason: 'NOTHING_RECORDED' });
      const bytes = await picture.bytes(this.#stop.signal);
      const made = { width: picture.width, height: picture.height, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
      await mkdir(directory, { recursive: true });
      const path = this.#pathOf(row);
      await writeFile(`${path}.new`, bytes);
      await rename(`${path}.new`, path);
      await this.#store.setMade(row.id, made);
      return { ...row, ...made, state: 'made' };
    } catch (error) {
      if (this.#stop.signal.aborted) return undefined;
      const hopeless = error instanceof MediaError && error.code !== 'UNAVAILABLE' && error.code !== 'DEADLINE_EXCEEDED' && clock.now() - Math.max(row.captured_at_ms, row.created_at) > GIVE_UP;
      if (!hopeless) return undefined;
      logger.warn({ camera: row.camera_id, at: timestamp(row.captured_at_ms), error: messageOf(error) }, 'a picture for the archive cannot be had from the recording');
      metrics.droppedFrames.inc({ camera: row.camera_id, reason: 'not_recorded' });
      await this.#store.setFailed(row.id, messageOf(error));
      return undefined;
    }
  }

  async #send(row: FrameRow): Promise<void> {
    const { objects, events, clock, metrics } = this.#deps;
    const path = this.#pathOf(row);
    await using file = await FileSource.open(path, row.bytes ?? 0, row.sha256 ?? '');
    // The JSON first: whoever finds a picture finds what it shows.
    const options = { legalHold: this.#deps.legalHold };
    await objects.put(descriptionKey(row.object_key), memorySource(await this.#description(row)), options, this.#stop.signal);
    await objects.put(row.object_key, file, options, this.#stop.signal);
    const now = clock.now();
    await this.#store.setStored(row.id, now, (tx, stored) => events.append(tx, frameEvent(stored, now)));
    events.committed();
    metrics.archivedFrames.inc({ camera: row.camera_id });
    await rm(path, { force: true });
  }

  async #description(row: FrameRow): Promise<Buffer> {
    const seen = await this.#deps.detections.list({ camera: row.camera_id, from: row.captured_at_ms - SAME_PICTURE, to: row.captured_at_ms + SAME_PICTURE }, 'asc', undefined, MAX_DETECTIONS);
    const { camera_id: camera, width, height, sha256, reason, created_by: by } = row;
    return Buffer.from(JSON.stringify({
      version: 1, camera, captured_at: timestamp(row.captured_at_ms), image: { key: row.object_key, width, height, sha256 }, reason, classes: JSON.parse(row.classes) as unknown, chosen_by: by,
      detections: seen.map(({ class_name, class_id, confidence, x, y, width: w, height: h, track_id, model, model_digest, stream_epoch, rtp_timestamp, sequence }) => ({
        class_name, class_id, confidence, bbox: { x, y, width: w, height: h }, track_id, model, model_digest, frame: { epoch: stream_epoch, rtp_timestamp, sequence },
      })),
    }, null, 1));
  }

  #pathOf(row: FrameRow): string {
    return join(this.#deps.directory, `${row.id}.jpg`);
  }
}
