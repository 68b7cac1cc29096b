import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import type { MarkService } from '../marks/service.ts';
import { grownBy } from './clip-growth.ts';
import type { ClipRange, Roll, Sighting } from './clip-growth.ts';

/** A clip that grows is written so often. */
const PERIOD: Milliseconds = 1_000;
/** More tags than this are not told. */
const MAX_TAGS = 16;
/** Clips remembered; of those beyond, the marks are looked at. */
const MAX_REMEMBERED = 1_000;

/** Something worth a clip. Those of the same camera and policy that follow each other closely are one. */
export interface Occasion extends Sighting {
  readonly camera: string;
  /** Who makes the clip, in `created_by`. */
  readonly by: string;
  /** Before the first tags. */
  readonly title: string;
  readonly tags: ReadonlySet<string>;
  readonly roll: Roll;
}

interface Clip extends ClipRange {
  readonly id: string;
  readonly tags: readonly string[];
}

export interface GrowingClipsDeps {
  readonly marks: MarkService;
  readonly clock: Clock;
  readonly logger: Logger;
}

const keyOf = ({ camera, by }: Occasion): string => JSON.stringify([camera, by]);

/** Makes clips of occasions, and makes them longer while there are more. Never holds the caller up, and holds one pending occasion of each camera and policy at most. */
export class GrowingClips implements AsyncDisposable {
  readonly #deps: GrowingClipsDeps;
  readonly #timer: Disposable;
  readonly #pending = new Map<string, Occasion>();
  readonly #clips = new Map<string, Clip>();
  #writing: Promise<void> | undefined;

  constructor(deps: GrowingClipsDeps) {
    this.#deps = deps;
    this.#timer = deps.clock.every(PERIOD, () => { this.#write(); });
  }

  add(occasion: Occasion): void {
    const key = keyOf(occasion);
    const before = this.#pending.get(key);
    this.#pending.set(key, before === undefined ? occasion : { ...occasion, first: Math.min(occasion.first, before.first), last: Math.max(occasion.last, before.last), tags: new Set([...before.tags, ...occasion.tags]) });
  }

  /** Writes what is pending. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer[Symbol.dispose]();
    await this.#writing;
    this.#write();
    await this.#writing;
  }

  /** One write at a time; what comes meanwhile is pending for the next period. */
  #write(): void {
    if (this.#pending.size === 0) return;
    this.#writing ??= this.#writeAll().finally(() => { this.#writing = undefined; });
  }

  async #writeAll(): Promise<void> {
    for (const [key, occasion] of [...this.#pending]) {
      this.#pending.delete(key);
      try {
        await this.#clip(key, occasion);
      } catch (error) {
        this.#deps.logger.error({ camera: occasion.camera, error: messageOf(error) }, 'an event was seen, but its clip could not be made; it is tried again');
        this.add(occasion);
      }
    }
  }

  async #clip(key: string, occasion: Occasion): Promise<void> {
    const { marks } = this.#deps;
    const { camera, by, title, roll } = occasion;
    const before = this.#clips.get(key) ?? (await this.#lastClip(occasion));
    const grown = grownBy(before, occasion, roll);
    const seen = [...occasion.tags].map((name) => name.replaceAll(',', ' '));
    if (before !== undefined && grown?.isNew !== true) {
      const tags = [...new Set([...before.tags, ...seen])].slice(0, MAX_TAGS);
      if (grown === undefined && tags.length === before.tags.length) return;
      const { from, to } = grown?.range ?? before;
      try {
        await marks.patch(before.id, { from, to, tags });
        this.#remember(key, { id: before.id, from, to, tags });
      } catch (error) {
        if (!(error instanceof MediaError) || error.code !== 'NOT_FOUND') throw error;
        // Somebody took the clip away: what is seen from now on makes another.
        this.#clips.delete(key);
        await this.#clip(key, occasion);
      }
      return;
    }
    if (grown === undefined) return;
    const tags = seen.slice(0, MAX_TAGS);
    const mark = await marks.create(camera, { kind: 'clip', ...grown.range, title: `${title}: ${seen.slice(0, 3).join(', ')}`.slice(0, 200), tags }, by);
    this.#remember(key, { id: mark.id, tags, ...grown.range });
  }

  #remember(key: string, clip: Clip): void {
    this.#clips.delete(key);
    this.#clips.set(key, clip);
    for (const oldest of this.#clips.keys()) {
      if (this.#clips.size <= MAX_REMEMBERED) break;
      this.#clips.delete(oldest);
    }
  }

  /** The clip that an earlier process may have left in the middle of an event. */
  async #lastClip({ camera, by, first, last, roll: { pre_seconds, post_seconds } }: Occasion): Promise<Clip | undefined> {
    const near = await this.#deps.marks.list({ cameras: [camera], kinds: ['clip'], from: first - pre_seconds * 1000 - 1, to: last + post_seconds * 1000 }, undefined, 20);
    const mark = near.find(({ created_by }) => created_by === by);
    return mark && { id: mark.id, tags: mark.tags, from: mark.from_ms, to: mark.to_ms };
  }
}
