import type { Milliseconds } from '../../core/units.ts';
import type { Pixel } from './geometry.ts';

/** An object of a picture, as rules look at it. */
export interface SeenObject {
  readonly className: string;
  /** 0..1 */
  readonly confidence: number;
  /** Null: nobody says which object it is. */
  readonly trackId: string | null;
  /** Where it is. */
  readonly at: Pixel;
  /** The zones it is in. */
  readonly zones: readonly string[];
}

/** One picture. */
export interface SeenPicture {
  /** Unix ms; never before that of the picture before. */
  readonly at: Milliseconds;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly objects: readonly SeenObject[];
}

/** What a rule says. */
export interface Finding {
  /** `began` and `ended` of the same thing have the same number, of this rule; `happened` has neither. */
  readonly phase: 'began' | 'ended' | 'happened';
  readonly occurrence: number;
  /** Unix ms: since when it is so; of `happened` when. */
  readonly from: Milliseconds;
  /** Unix ms: up to when it was seen. */
  readonly to: Milliseconds;
  /** Objects: now, of `ended` the most in one picture. */
  readonly count: number;
  readonly classes: readonly string[];
  readonly tracks: readonly string[];
  readonly direction: 'to_left' | 'to_right' | null;
}

/** A rule with what it remembers of the pictures before. */
export interface RuleState {
  see(picture: SeenPicture): readonly Finding[];
  /** Nobody knows what comes next: what goes on has ended when it was seen last. Everything is forgotten. */
  end(): readonly Finding[];
}

/** Objects remembered by a rule; those beyond are not looked at. */
export const MAX_REMEMBERED = 1_000;

/** Which objects a rule is about. */
export const isMeant = ({ classes, minConfidence, zone }: { readonly classes: readonly string[]; readonly minConfidence: number; readonly zone: string | null }, object: SeenObject): boolean =>
  (classes.length === 0 || classes.includes(object.className)) && object.confidence >= minConfidence && (zone === null || object.zones.includes(zone));
