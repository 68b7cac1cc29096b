import type { Milliseconds } from '../../core/units.ts';
import type { CountRule } from '../../media-control/port.ts';
import { isMeant } from './seen.ts';
import type { Finding, RuleState, SeenPicture } from './seen.ts';

interface Stretch {
  readonly from: Milliseconds;
  readonly to: Milliseconds;
  readonly most: number;
  readonly classes: readonly string[];
  readonly tracks: readonly string[];
  /** Told. */
  readonly begun: boolean;
}

/** Names told of one occurrence. */
const MAX_NAMED = 32;

const joined = (a: readonly string[], b: readonly string[]): readonly string[] => (b.every((one) => a.includes(one)) ? a : [...new Set([...a, ...b])].slice(0, MAX_NAMED));

/**
 * So many objects of some classes are in a zone, or in the picture, for so long. What is missed in single pictures does not end it: only when
 * it has not been so for `clearMs` has it ended, when it was so last. How far apart pictures are does not matter.
 */
export class CountState implements RuleState {
  readonly #rule: CountRule;
  #occurrence = 0;
  #stretch: Stretch | null = null;

  constructor(rule: CountRule) {
    this.#rule = rule;
  }

  see({ at, objects }: SeenPicture): readonly Finding[] {
    const meant = objects.filter((object) => isMeant(this.#rule, object));
    const isSo = meant.length >= this.#rule.atLeast;
    if (!isSo) return this.#stretch !== null && at - this.#stretch.to >= this.#rule.clearMs ? this.end() : [];
    const classes = [...new Set(meant.map(({ className }) => className))];
    const tracks = meant.flatMap(({ trackId }) => trackId ?? []);
    const before = this.#stretch ?? { from: at, most: 0, classes: [], tracks: [], begun: false };
    const begins = !before.begun && at - before.from >= this.#rule.forMs;
    const stretch: Stretch = {
      from: before.from, to: at, most: Math.max(before.most, meant.length), classes: joined(before.classes, classes), tracks: joined(before.tracks, tracks), begun: before.begun || begins,
    };
    this.#stretch = stretch;
    return begins ? [this.#finding('began', stretch, meant.length)] : [];
  }

  end(): readonly Finding[] {
    const stretch = this.#stretch;
    this.#stretch = null;
    if (stretch?.begun !== true) return [];
    const finding = this.#finding('ended', stretch, stretch.most);
    this.#occurrence++;
    return [finding];
  }

  #finding(phase: 'began' | 'ended', { from, to, classes, tracks }: Stretch, count: number): Finding {
    return { phase, occurrence: this.#occurrence, from, to, count, classes, tracks, direction: null };
  }
}
