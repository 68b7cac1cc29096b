import type { DetectorSpec } from '../media-control/port.ts';
import type { Logger } from '../platform/logging.ts';
import type { LighterModel } from './port.ts';
import type { ModelsMessage } from './protocol.ts';

type Lightened = Pick<DetectorSpec, 'id' | 'model' | 'light'>;

/**
 * Which of their lighter models detectors can run on: those that a worker has ready, with the same classes as the detector's own, as rules, ids of classes and
 * stored detections mean those. By process, as each knows the workers its pictures go to.
 */
export class LighterModels<Slot> {
  readonly #logger: Logger;
  readonly #known = new Map<Slot, ReadonlyMap<string, string>>();
  /** For a process that has not said anything yet. */
  #last: ReadonlyMap<string, string> = new Map();
  readonly #warned = new Set<string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** What a process knows from now on. One that has lost all its workers says nothing of them: they are taken to come back as they were. */
  take(slot: Slot, models: ModelsMessage['models']): void {
    if (models.length === 0) return;
    this.#last = new Map(models.map(({ name, classes }) => [name, classes]));
    this.#known.set(slot, this.#last);
  }

  /** The process is gone. */
  forget(slot: Slot): void {
    this.#known.delete(slot);
  }

  /** A detector's lighter models, the heaviest first, and whether it can run on them. */
  of(slot: Slot | null | undefined, { id, model, light = [] }: Lightened): readonly LighterModel[] {
    const known = (slot ? this.#known.get(slot) : undefined) ?? this.#last;
    const classes = known.get(model);
    return light.map((lighter) => {
      const its = known.get(lighter);
      if (classes === undefined || its === undefined) return { model: lighter, state: 'not_ready' };
      if (its === classes) return { model: lighter, state: 'ready' };
      this.#warn(id, model, lighter);
      return { model: lighter, state: 'other_classes' };
    });
  }

  /** Once for each two models. */
  #warn(detector: string, model: string, lighter: string): void {
    const key = JSON.stringify([model, lighter]);
    if (this.#warned.has(key)) return;
    this.#warned.add(key);
    this.#logger.warn({ detector, model, lighter }, 'lighter model is not used: its class names differ from those of the detector\'s own model; name another in `light`');
  }
}
