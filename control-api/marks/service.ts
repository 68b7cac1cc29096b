import { randomUUID } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';
import { ValidationError } from '../problem.ts';
import type { MarkFilter } from './filter.ts';
import { merged, overlapsAny } from './ranges.ts';
import type { Range } from './ranges.ts';
import { rangeError } from './schemas.ts';
import type { MarkPatch, NewMark } from './schemas.ts';
import { MarkStore } from './store.ts';
import type { CameraRange, Mark, MarkContent, MarkPlace, ProductInfo, SeenInMark } from './store.ts';
import { saysAlready } from './upload-mark.ts';

export type { MarkFilter } from './filter.ts';
export { CamerasQuery, MarkQuery, markFilterOf } from './query.ts';
export { MAX_MARK_MS } from './order.ts';
export type { Range } from './ranges.ts';
export { Mark as MarkSchema } from './schemas.ts';
export type { CameraRange, Mark, MarkPlace, ProductInfo, SeenInMark } from './store.ts';
export { rowsInGaps, unmarked } from './unmarked.ts';
export { uploadMarkOf } from './upload-mark.ts';
export { markView } from './view.ts';

const DEFAULT_ROLL_SECONDS = 10;
/** How far ahead a mark may end: an event's post-roll, a shift that begins. */
const MAX_AHEAD_MS: Milliseconds = 24 * 3_600_000;
/** Marks that overlap an upload. */
const MAX_LOOKED_AT = 500;
/** Ranges that stay on the disk; every edge is told all of them. */
export const MAX_ON_DISK = 10_000;

/** Marks: pins, links and clips of ranges of recordings (ADR 4). A change is with its listeners before its caller gets an answer. */
export class MarkService {
  readonly #store: MarkStore;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => Promise<void>>();

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#store = new MarkStore(db);
    this.#clock = clock;
  }

  /**
   * `by`: the user, or the policy. Throws NOT_FOUND (no such camera, nor a recording of one), ValidationError, UNPROCESSABLE (too far in
   * the future), FAILED_PRECONDITION (too many stay on disk), RESOURCE_EXHAUSTED.
   */
  async create(camera: string, mark: NewMark, by: string | null): Promise<Mark> {
    const { from, to, at, pre_seconds: pre = DEFAULT_ROLL_SECONDS, post_seconds: post = DEFAULT_ROLL_SECONDS, kind, archive, tags, ...texts } = mark;
    const range = at === undefined ? { from: from ?? 0, to: to ?? 0 } : { from: Math.round(at - pre * 1000), to: Math.max(Math.round(at - pre * 1000) + 1, Math.round(at + post * 1000)) };
    const content: MarkContent = { camera_id: camera, from_ms: range.from, to_ms: range.to, kind, archive: (archive ?? kind !== 'pin') ? 1 : 0, tags: sorted(tags ?? []), ...NO_TEXTS, ...given(texts) };
    if (!(await this.#store.known(camera))) throw new MediaError('NOT_FOUND', `There is no camera ${camera}, nor a recording of one.`, { reason: 'CAMERA_NOT_FOUND', context: { camera } });
    await this.#check(content, content.archive === 0);
    const created = await this.#store.insert({ id: randomUUID(), ...content, created_at: this.#clock.now(), created_by: by });
    await this.#changed();
    return created;
  }

  /** As `create`, unless a mark of the very range says the same already: what is uploaded twice is marked once. */
  async ensure(camera: string, mark: NewMark, by: string | null): Promise<{ readonly mark: Mark; readonly created: boolean }> {
    const { from = 0, to = 0, at: _at, pre_seconds: _pre, post_seconds: _post, ...said } = mark;
    const there = await this.#store.list({ cameras: [camera], from, to }, undefined, MAX_LOOKED_AT);
    const same = there.find((one) => one.from_ms === from && one.to_ms === to && saysAlready(one, said));
    return same ? { mark: same, created: false } : { mark: await this.create(camera, mark, by), created: true };
  }

  /** Sets what the patch names. Throws NOT_FOUND and as `create`. */
  async patch(id: string, patch: MarkPatch): Promise<Mark> {
    const { id: _id, seq: _seq, created_at: _at, created_by: _by, ...known } = await this.get(id);
    const { from, to, archive, tags, ...texts } = patch;
    const content: MarkContent = {
      ...known, ...given(texts), from_ms: from ?? known.from_ms, to_ms: to ?? known.to_ms, tags: tags === undefined ? known.tags : sorted(tags),
      archive: archive === undefined ? known.archive : archive ? 1 : 0,
    };
    await this.#check(content, content.archive === 0 && known.archive === 1);
    if (!(await this.#store.update(id, content))) throw notFound();
    await this.#changed();
    return this.get(id);
  }

  /** Throws NOT_FOUND. */
  async get(id: string): Promise<Mark> {
    const mark = await this.#store.get(id);
    if (mark === undefined) throw notFound();
    return mark;
  }

  /** What it kept goes the way of all recordings, except from the archive. Throws NOT_FOUND. */
  async remove(id: string): Promise<void> {
    if (!(await this.#store.delete(id))) throw notFound();
    await this.#changed();
  }

  /** Newest first; `before`: the `seq` of the last one of the page before. */
  list(filter: MarkFilter, before: number | undefined, limit: number): Promise<Mark[]> {
    return this.#store.list(filter, before, limit);
  }

  /** As `list`. Throws NOT_FOUND for a camera that neither exists nor has left anything. */
  async listOf(camera: string, filter: MarkFilter, before: number | undefined, limit: number): Promise<Mark[]> {
    const rows = await this.#store.list({ ...filter, cameras: [camera] }, before, limit);
    if (rows.length === 0 && !(await this.#store.known(camera))) throw new MediaError('NOT_FOUND', `There is no camera ${camera}, nor a recording of one.`, { reason: 'CAMERA_NOT_FOUND', context: { camera } });
    return rows;
  }

  /** As `list`, of each no more than where it is: for searches that look at many. */
  places(filter: MarkFilter, before: number | undefined, limit: number): Promise<MarkPlace[]> {
    return this.#store.places(filter, before, limit);
  }

  /** By their ids, those that there are. */
  async some(ids: readonly string[]): Promise<Map<string, Mark>> {
    return new Map((await this.#store.some(ids)).map((mark) => [mark.id, mark]));
  }

  /** How often a class was seen in the ranges of marks, in all sightings that overlap each; by the mark's id. */
  seen(places: readonly MarkPlace[], className: string): Promise<Map<string, SeenInMark[]>> {
    return this.#store.seen(places, className);
  }

  /** What marks of a camera that overlap a range say of the product in it, as far as they agree. */
  productIn(camera: string, range: Range): Promise<ProductInfo> {
    return this.#store.productIn(camera, range);
  }

  /**
   * What edges are to keep on their disks, whatever their rolling windows, per camera, in order and apart: every mark that stays there, and
   * every mark for the archive of which a segment is there and not in the archive.
   */
  async kept(): Promise<CameraRange[]> {
    const byCamera = Map.groupBy(await this.#store.kept(), ({ camera }) => camera);
    return [...byCamera].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([camera, ranges]) => merged(ranges).map((range) => ({ camera, ...range })));
  }

  /** Tells of segments of a camera, all within `range`, whether a mark keeps them on the disk; by the rule of `kept`. */
  async keeper(camera: string, range: Range): Promise<(segment: Range & { readonly archived: boolean }) => boolean> {
    const marks = await this.#store.overlapping(camera, range);
    const onDisk = merged(marks.filter(({ archive }) => archive === 0));
    const all = merged(marks);
    return (segment) => overlapsAny(segment.archived ? onDisk : all, segment);
  }

  /** Called after each change, before its caller is answered. */
  onChange(listener: () => Promise<void>): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => { this.#listeners.delete(listener); } };
  }

  async #check(content: MarkContent, oneMoreOnDisk: boolean): Promise<void> {
    const error = rangeError(content.from_ms, content.to_ms);
    if (error !== undefined) throw new ValidationError([{ ...error, value: null }], `${error.field}: ${error.message}`);
    if (content.to_ms > this.#clock.now() + MAX_AHEAD_MS) throw new MediaError('UNPROCESSABLE', 'The range ends more than a day in the future.', { reason: 'MARK_IN_THE_FUTURE' });
    if (oneMoreOnDisk && (await this.#store.countOnDisk(MAX_ON_DISK)) >= MAX_ON_DISK) {
      throw new MediaError('FAILED_PRECONDITION', `${String(MAX_ON_DISK)} marks stay on the disk already; remove some, or archive this one.`, { reason: 'TOO_MANY_PINS' });
    }
  }

  async #changed(): Promise<void> {
    for (const listener of this.#listeners) await listener();
  }
}

const NO_TEXTS = {
  title: null, note: null, product_id: null, inspection_id: null, work_order_id: null, instruction_id: null, product_type: null, machine_number: null,
  production_date: null, monthly_sequence: null, inspection_result: null,
} as const;

const sorted = (tags: readonly string[]): string[] => [...new Set(tags)].sort();

/** Without what is undefined. */
const given = <T extends object>(members: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> };

const notFound = (): MediaError => new MediaError('NOT_FOUND', 'There is no such mark.', { reason: 'MARK_NOT_FOUND' });
