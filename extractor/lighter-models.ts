import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import type { Milliseconds } from '../core/units.ts';
import type { DetectorSpec } from '../media-control/port.ts';
import type { Logger } from '../platform/logging.ts';
import type { LighterModel } from './port.ts';
import type { ModelsMessage } from './protocol.ts';

type Lightened = Pick<DetectorSpec, 'id' | 'model' | 'light'>;

const FAILING_MS: Milliseconds = 60_000;
const MAX_REMEMBERED = 1_000;

/**
 * Which of their lighter models detectors can run on: those that a worker has ready, with the same classes as the detector's own, as rules, ids of classes and
 * stored detections mean those. By process, as each knows the workers its pictures go to.
 */
export class LighterModels<Slot> {
  readonly #logger: Logger;
  readonly #known = new Map<Slot, ReadonlyMap<string, string>>();
  /** For a process that has not said anything yet. */
  #last: ReadonlyMap<string, string> = new Map();
  /** Of every model that was ever ready. */
  readonly #classes = new LRUCache<string, string>({ max: MAX_REMEMBERED });
  readonly #warned = new Set<string>();
  readonly #clock: Clock;
  /** Until when a model is not used. */
  readonly #failing = new Map<string, Milliseconds>();

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** A worker says that it is ready, and yet it sees nothing: no detector is lowered to it for a minute. */
  fail(model: string): void {
    this.#failing.set(model, this.#clock.monotonic() + FAILING_MS);
    this.#logger.warn({ model }, 'lighter model is not used for a minute: its worker refuses the pictures');
  }

  /** What a process knows from now on. One that has lost all its workers says nothing of them: they are taken to come back as they were. */
  take(slot: Slot, models: ModelsMessage['models']): void {
    if (models.length === 0) return;
    this.#last = new Map(models.map(({ name, classes }) => [name, classes]));
    this.#known.set(slot, this.#last);
    for (const [name, classes] of this.#last) this.#classes.set(name, classes);
  }

  /** The process is gone. */
  forget(slot: Slot): void {
    this.#known.delete(slot);
  }

  /** A detector's lighter models, the heaviest first, and whether it can run on them. */
  of(slot: Slot | null | undefined, { id, model, light = [] }: Lightened): readonly LighterModel[] {
    const known = (slot ? this.#known.get(slot) : undefined) ?? this.#last;
    const classes = this.#classes.get(model); // those of a model that has gone hold until it is back: what runs on a lighter one goes on
    return light.map((lighter) => {
      const its = known.get(lighter);
      if (classes === undefined || its === undefined) return { model: lighter, state: 'not_ready' };
      if (its === classes) return { model: lighter, state: this.#isFailing(lighter) ? 'failing' : 'ready' };
      this.#warn(id, model, lighter);
      return { model: lighter, state: 'other_classes' };
    });
  }

  #isFailing(model: string): boolean {
    const until = this.#failing.get(model) ?? -Infinity;
    if (this.#clock.monotonic() >= until) this.#failing.delete(model);
    return this.#failing.has(model);
  }

  /** Once for each two models. */
  #warn(detector: string, model: string, lighter: string): void {
    const key = JSON.stringify([model, lighter]);
    if (this.#warned.has(key)) return;
    this.#warned.add(key);
    this.#logger.warn({ detector, model, lighter }, 'lighter model is not used: its class names differ from those of the detector\'s own model; name another in `light`');
  }
}
