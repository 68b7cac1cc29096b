import type { Milliseconds } from '../../core/units.ts';
import type { DwellRule } from '../../media-control/port.ts';
import { MAX_REMEMBERED, isMeant } from './seen.ts';
import type { Finding, RuleState, SeenPicture } from './seen.ts';

interface Stay {
  readonly className: string;
  readonly from: Milliseconds;
  to: Milliseconds;
  /** Null: not told yet. */
  occurrence: number | null;
}

/** One object stays in a zone, or in the picture, for so long. It has left when it was not seen there for `clearMs`. */
export class DwellState implements RuleState {
  readonly #rule: DwellRule;
  #next = 0;
  readonly #stays = new Map<string, Stay>();

  constructor(rule: DwellRule) {
    this.#rule = rule;
  }

  see({ at, objects }: SeenPicture): readonly Finding[] {
    const findings: Finding[] = [];
    for (const object of objects) {
      const { trackId, className } = object;
      if (trackId === null || !isMeant(this.#rule, object)) continue;
      const stay = this.#stays.get(trackId) ?? { className, from: at, to: at, occurrence: null };
      if (!this.#stays.has(trackId)) {
        if (this.#stays.size >= MAX_REMEMBERED) continue;
        this.#stays.set(trackId, stay);
      }
      stay.to = at;
      if (stay.occurrence !== null || at - stay.from < this.#rule.forMs) continue;
      stay.occurrence = this.#next++;
      findings.push(findingOf('began', trackId, stay, stay.occurrence));
    }
    for (const [track, stay] of this.#stays) if (stay.to < at && at - stay.to >= this.#rule.clearMs) findings.push(...this.#leave(track, stay));
    return findings;
  }

  end(): readonly Finding[] {
    return [...this.#stays].flatMap(([track, stay]) => this.#leave(track, stay));
  }

  #leave(track: string, stay: Stay): readonly Finding[] {
    this.#stays.delete(track);
    return stay.occurrence === null ? [] : [findingOf('ended', track, stay, stay.occurrence)];
  }
}

const findingOf = (phase: 'began' | 'ended', track: string, { className, from, to }: Stay, occurrence: number): Finding => ({ phase, occurrence, from, to, count: 1, classes: [className], tracks: [track], direction: null });
