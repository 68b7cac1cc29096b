import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import type { MarkService } from '../marks/service.ts';
import { LONGEST_CLIP, grownBy } from './clip-growth.ts';
import type { ClipRange, Roll, Sighting } from './clip-growth.ts';

/** A clip that grows is written so often. */
const PERIOD: Milliseconds = 1_000;
/** More tags than this are not told. */
const MAX_TAGS = 16;
/** Occasions of one camera and policy that wait to be written. */
const MAX_WAITING = 500;
/** What is refused for what it is, is refused again. */
const HOPELESS: ReadonlySet<string> = new Set(['NOT_FOUND', 'UNPROCESSABLE', 'INVALID_ARGUMENT']);
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

/** Two occasions as one, where their clips touch and are one that is not too long. */
const together = (before: Occasion, next: Occasion): Occasion | undefined => {
  const [first, last] = [Math.min(before.first, next.first), Math.max(before.last, next.last)];
  const roll = (next.roll.pre_seconds + next.roll.post_seconds) * 1000;
  const apart = Math.max(next.first - before.last, before.first - next.last);
  return apart > roll || last - first + roll > LONGEST_CLIP ? undefined : { ...next, first, last, tags: new Set([...before.tags, ...next.tags]) };
};

/** Makes clips of occasions, and makes them longer while there are more. Never holds the caller up. */
export class GrowingClips implements AsyncDisposable {
  readonly #deps: GrowingClipsDeps;
  readonly #timer: Disposable;
  readonly #pending = new Map<string, Occasion[]>();
  readonly #clips = new Map<string, Clip>();
  #writing: Promise<void> | undefined;

  constructor(deps: GrowingClipsDeps) {
    this.#deps = deps;
    this.#timer = deps.clock.every(PERIOD, () => { this.#write(); });
  }

  add(occasion: Occasion): void {
    const key = keyOf(occasion);
    const waiting = this.#pending.get(key) ?? [];
    const last = waiting.at(-1);
    const both = last && together(last, occasion);
    if (both) waiting[waiting.length - 1] = both;
    else waiting.push(occasion);
    if (waiting.length > MAX_WAITING) {
      this.#deps.logger.error({ camera: occasion.camera, by: occasion.by }, 'more events wait for their clips than are kept: the oldest has none');
      waiting.shift();
    }
    this.#pending.set(key, waiting);
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
    for (const [key, waiting] of [...this.#pending]) {
      this.#pending.delete(key);
      for (const [i, occasion] of waiting.entries()) {
        try {
          await this.#clip(key, occasion);
        } catch (error) {
          const { camera, by } = occasion;
          if (error instanceof MediaError && HOPELESS.has(error.code)) {
            this.#deps.logger.error({ camera, by, error: messageOf(error) }, 'an event was seen, but its clip cannot be made');
            continue;
          }
          this.#deps.logger.error({ camera, by, error: messageOf(error) }, 'an event was seen, but its clip could not be made; it is tried again');
          const since = this.#pending.get(key) ?? [];
          this.#pending.set(key, [...waiting.slice(i), ...since].slice(-MAX_WAITING));
          break;
        }
      }
    }
  }

  async #clip(key: string, occasion: Occasion): Promise<void> {
    const { marks } = this.#deps;
    const { camera, by, title, roll } = occasion;
    const known = this.#clips.get(key);
    // Where it belongs to no clip that is remembered, there may be one that is not: of an earlier process, or of another time.
    const before = known !== undefined && grownBy(known, occasion, roll)?.isNew !== true ? known : ((await this.#lastClip(occasion)) ?? known);
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
