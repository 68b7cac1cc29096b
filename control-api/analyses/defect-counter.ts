import type { Milliseconds } from '../../core/units.ts';

/** How often a model found a class in the picture of a moment. */
export interface FoundInPicture {
  readonly className: string;
  readonly model: string;
  /** Unix ms. */
  readonly moment: Milliseconds;
  readonly count: number;
}

/** Nothing found for longer than this: what comes then is another defect. At low rates two pictures without it. */
const MIN_BREAK_MS: Milliseconds = 1000;
const BREAK_PICTURES = 2;

interface Stretch {
  last: Milliseconds;
  /** The most at once in the stretch at hand. */
  most: number;
  /** Of the stretches before. */
  before: number;
}

/**
 * Counts defects, not boxes (SD-56): of each class, and each stretch of time in which it was found without a break, the most in one picture, added
 * up; of several models what the one that found most says.
 */
export class DefectCounter {
  readonly #breakMs: Milliseconds;
  readonly #classes = new Map<string, Map<string, Stretch>>();

  /** `fps`: pictures a second that were looked at. */
  constructor(fps: number) {
    this.#breakMs = Math.max(MIN_BREAK_MS, (BREAK_PICTURES * 1000) / fps);
  }

  /** In the order of their moments. */
  add({ className, model, moment, count }: FoundInPicture): void {
    const models = this.#classes.get(className) ?? new Map<string, Stretch>();
    this.#classes.set(className, models);
    const stretch = models.get(model);
    if (stretch === undefined) {
      models.set(model, { last: moment, most: count, before: 0 });
      return;
    }
    if (moment - stretch.last > this.#breakMs) {
      stretch.before += stretch.most;
      stretch.most = 0;
    }
    stretch.last = moment;
    stretch.most = Math.max(stretch.most, count);
  }

  get count(): number {
    let sum = 0;
    for (const models of this.#classes.values()) sum += Math.max(...[...models.values()].map(({ before, most }) => before + most));
    return sum;
  }
}
