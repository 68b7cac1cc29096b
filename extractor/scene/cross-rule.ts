import type { Milliseconds } from '../../core/units.ts';
import type { CrossRule, SceneLine } from '../../media-control/port.ts';
import { leadsThrough, offsetFrom } from './geometry.ts';
import type { Pixel } from './geometry.ts';
import { MAX_REMEMBERED, isMeant } from './seen.ts';
import type { Finding, RuleState, SeenPicture } from './seen.ts';

/** Nearer to the line than this share of the picture's height an object is on neither side: who stands on the line does not cross it time and again. */
const NEITHER_SIDE = 0.01;

/** Who has not been seen for so long has gone; ids are not used twice. */
const FORGOTTEN_MS: Milliseconds = 10_000;

interface Place {
  readonly side: 'left' | 'right';
  readonly point: Pixel;
  seen: Milliseconds;
}

/** Objects cross a line from one side to the other, each told once for each time. */
export class CrossState implements RuleState {
  readonly #rule: CrossRule;
  readonly #line: SceneLine;
  #next = 0;
  readonly #places = new Map<string, Place>();

  constructor(rule: CrossRule, line: SceneLine) {
    this.#rule = rule;
    this.#line = line;
  }

  see({ at, width, height, objects }: SeenPicture): readonly Finding[] {
    for (const [track, { seen }] of this.#places) if (at - seen >= FORGOTTEN_MS) this.#places.delete(track);
    const [from, to] = [this.#line.from, this.#line.to].map(([x, y]): Pixel => [x * width, y * height]) as [Pixel, Pixel];
    const findings: Finding[] = [];
    for (const object of objects) {
      const { trackId, className, at: point } = object;
      if (trackId === null || !isMeant({ ...this.#rule, zone: null }, object)) continue;
      const before = this.#places.get(trackId);
      if (before !== undefined) before.seen = at;
      const offset = offsetFrom(point, from, to);
      if (Math.abs(offset) < NEITHER_SIDE * height) continue;
      const side = offset > 0 ? 'right' : 'left';
      if (before === undefined && this.#places.size >= MAX_REMEMBERED) continue;
      this.#places.set(trackId, { side, point, seen: at });
      if (before === undefined || before.side === side || !leadsThrough(before.point, point, from, to)) continue;
      const direction = side === 'right' ? 'to_right' : 'to_left';
      if (this.#rule.direction !== 'both' && this.#rule.direction !== direction) continue;
      findings.push({ phase: 'happened', occurrence: this.#next++, from: at, to: at, count: 1, classes: [className], tracks: [trackId], direction });
    }
    return findings;
  }

  end(): readonly Finding[] {
    this.#places.clear();
    return [];
  }
}
