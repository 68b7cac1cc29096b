import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import { settingsOf } from '../cameras/service.ts';
import type { CameraService, OnEvent } from '../cameras/service.ts';
import type { DesiredStateSource } from '../desired-state/service.ts';
import type { MarkService } from '../marks/service.ts';
import { grownBy } from './clip-growth.ts';
import type { ClipRange, Sighting } from './clip-growth.ts';

/** Who makes these clips, in `created_by`. */
export const BY = 'policy: detected';
/** A clip that grows is written so often. */
const PERIOD: Milliseconds = 1_000;
/** More classes than this are not told by name. */
const MAX_TAGS = 16;

/** One model's word on one picture, as much of it as matters here. */
export interface SeenPicture {
  readonly camera: string;
  /** Unix ms. */
  readonly capturedAt: Milliseconds;
  readonly detections: readonly { readonly className: string; readonly confidence: number }[];
}

export interface EventClipsDeps {
  readonly cameras: CameraService;
  readonly marks: MarkService;
  /** Changes whenever a camera does, also when another control process changed it. */
  readonly desired: Pick<DesiredStateSource, 'onChange'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Pending extends Sighting {
  readonly classes: ReadonlySet<string>;
}

interface Clip extends ClipRange {
  readonly id: string;
  readonly tags: readonly string[];
}

/**
 * Makes a clip of what a camera's `recording.on_event.detected` calls an event, with its pre- and post-roll; sightings that follow each other
 * closely are one clip. Takes what was committed to the database; never holds it up, and holds one pending sighting a camera at most.
 */
export class EventClips implements AsyncDisposable {
  readonly #deps: EventClipsDeps;
  readonly #stack = new DisposableStack();
  #rules: ReadonlyMap<string, OnEvent> = new Map();
  readonly #pending = new Map<string, Pending>();
  readonly #clips = new Map<string, Clip>();
  #writing: Promise<void> | undefined;

  constructor(deps: EventClipsDeps) {
    this.#deps = deps;
  }

  /** Reads the cameras' rules and follows them. */
  async start(): Promise<void> {
    await this.#readRules();
    this.#stack.use(this.#deps.cameras.onChange(() => this.#readRules()));
    this.#stack.use(this.#deps.desired.onChange(() => {
      this.#readRules().catch((error: unknown) => { this.#deps.logger.error({ error: messageOf(error) }, 'what counts as an event was not read'); });
    }));
    this.#stack.use(this.#deps.clock.every(PERIOD, () => { this.#write(); }));
  }

  /** Looks for events. Pictures of cameras without a rule cost a look into a map. */
  observe(pictures: readonly SeenPicture[]): void {
    for (const { camera, capturedAt, detections } of pictures) {
      const rule = this.#rules.get(camera);
      if (rule === undefined) continue;
      const classes = detections.filter((seen) => rule.detected.some(({ class_name, min_confidence }) => seen.className === class_name && seen.confidence >= min_confidence)).map(({ className }) => className);
      if (classes.length === 0) continue;
      this.#add(camera, { first: capturedAt, last: capturedAt, classes: new Set(classes) });
    }
  }

  /** Writes what is pending. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stack.dispose();
    await this.#writing;
    this.#write();
    await this.#writing;
  }

  async #readRules(): Promise<void> {
    const rules = new Map<string, OnEvent>();
    for (const row of await this.#deps.cameras.all()) {
      const { on_event } = settingsOf(row).recording;
      if (on_event !== undefined && on_event.detected.length > 0) rules.set(row.id, on_event);
    }
    this.#rules = rules;
  }

  #add(camera: string, { first, last, classes }: Pending): void {
    const before = this.#pending.get(camera);
    this.#pending.set(camera, before === undefined ? { first, last, classes } : { first: Math.min(first, before.first), last: Math.max(last, before.last), classes: new Set([...before.classes, ...classes]) });
  }

  /** One write at a time; what comes meanwhile is pending for the next period. */
  #write(): void {
    if (this.#pending.size === 0) return;
    this.#writing ??= this.#writeAll().finally(() => { this.#writing = undefined; });
  }

  async #writeAll(): Promise<void> {
    for (const [camera, pending] of [...this.#pending]) {
      this.#pending.delete(camera);
      const rule = this.#rules.get(camera);
      if (rule === undefined) continue;
      try {
        await this.#clip(camera, pending, rule);
      } catch (error) {
        this.#deps.logger.error({ camera, error: messageOf(error) }, 'an event was seen, but its clip could not be made; it is tried again');
        this.#add(camera, pending);
      }
    }
  }

  async #clip(camera: string, pending: Pending, rule: OnEvent): Promise<void> {
    const { marks } = this.#deps;
    const before = this.#clips.get(camera) ?? (await this.#lastClip(camera, pending, rule));
    const grown = grownBy(before, pending, rule);
    const seen = [...pending.classes].map((name) => name.replaceAll(',', ' '));
    if (before !== undefined && grown?.isNew !== true) {
      const tags = [...new Set([...before.tags, ...seen])].slice(0, MAX_TAGS);
      if (grown === undefined && tags.length === before.tags.length) return;
      const { from, to } = grown?.range ?? before;
      try {
        await marks.patch(before.id, { from, to, tags });
        this.#clips.set(camera, { id: before.id, from, to, tags });
      } catch (error) {
        if (!(error instanceof MediaError) || error.code !== 'NOT_FOUND') throw error;
        // Somebody took the clip away: what is seen from now on makes another.
        this.#clips.delete(camera);
        await this.#clip(camera, pending, rule);
      }
      return;
    }
    if (grown === undefined) return;
    const tags = seen.slice(0, MAX_TAGS);
    const mark = await marks.create(camera, { kind: 'clip', ...grown.range, title: `Seen: ${seen.slice(0, 3).join(', ')}`.slice(0, 200), tags }, BY);
    this.#clips.set(camera, { id: mark.id, tags, ...grown.range });
  }

  /** The clip that an earlier process may have left in the middle of an event. */
  async #lastClip(camera: string, { first, last }: Sighting, { pre_seconds, post_seconds }: OnEvent): Promise<Clip | undefined> {
    const near = await this.#deps.marks.list({ cameras: [camera], kinds: ['clip'], from: first - pre_seconds * 1000 - 1, to: last + post_seconds * 1000 }, undefined, 20);
    const mark = near.find(({ created_by }) => created_by === BY);
    return mark && { id: mark.id, tags: mark.tags, from: mark.from_ms, to: mark.to_ms };
  }
}
