/**
 * Chooses what of an uploaded file fills the gaps of a recording. Pure: units in decode order in, a decision each out.
 *
 * Nothing is taken twice: a range begins at the first random access picture that begins in it, and ends before the first picture that would reach
 * over its end. Pictures that precede that random access picture on the screen need what is not taken, and are not taken either.
 */
import type { AccessUnit } from '../../core/access-unit.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { WallRange } from './ranges.ts';

/** A coded picture or audio frame of a file. */
export interface UploadedUnit {
  readonly unit: AccessUnit;
  /** How long it is shown or heard. */
  readonly duration: Milliseconds;
}

/** `begin`: take it, as the first of the range; `skip`: leave it out. */
export type Decision = { readonly take: 'begin' | 'continue'; readonly range: WallRange } | { readonly take: 'skip' };

const SKIP: Decision = { take: 'skip' };
/** Walls are milliseconds with fractions: sums of them differ in the last digits. */
const ROUNDING: Milliseconds = 0.5;

export class GapFiller {
  readonly #free: readonly WallRange[];
  #range: WallRange | undefined;
  /** Wall time of the range's first picture. */
  #begun: Milliseconds = 0;

  /** `free`: in order, apart from each other. */
  constructor(free: readonly WallRange[]) {
    this.#free = free;
  }

  decide({ unit, duration }: UploadedUnit): Decision {
    const end = unit.wall + duration;
    if (unit.kind === 'audio') {
      const range = this.#range;
      return range && unit.wall >= this.#begun && end <= range.to + ROUNDING ? { take: 'continue', range } : SKIP;
    }
    const open = this.#range;
    if (open) {
      if (unit.wall < this.#begun) return SKIP;
      if (end <= open.to + ROUNDING) return { take: 'continue', range: open };
      this.#range = undefined;
    }
    if (!unit.randomAccess) return SKIP;
    const range = this.#free.find(({ from, to }) => unit.wall >= from - ROUNDING && end <= to + ROUNDING);
    if (!range || range === open) return SKIP;
    this.#range = range;
    this.#begun = unit.wall;
    return { take: 'begin', range };
  }
}
