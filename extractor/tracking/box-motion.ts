/**
 * Where a box will be: the motion model of SORT's successors, one Kalman filter with constant velocity on the centre, the aspect (width / height) and
 * the height of a box, with noise in proportion to the height (N. Wojke, A. Bewley, D. Paulus, "Simple online and realtime tracking with a deep
 * association metric", ICIP 2017, and its code; taken over by ByteTrack, Y. Zhang et al., ECCV 2022). Its matrices are diagonal but for each
 * coordinate and its own velocity, so it is four filters of two values each.
 */
import type { Box } from '../../core/detection.ts';
import type { Milliseconds } from '../../core/units.ts';
import { ConstantVelocity } from './constant-velocity.ts';

/** The paper's noise is that between two pictures of its videos, of about 30 a second; here time is real. */
const REFERENCE_STEP: Milliseconds = 1000 / 30;
/** Standard deviations as shares of the height, for a step. */
const PLACE_DEVIATION = 1 / 20;
const VELOCITY_DEVIATION = 1 / 160;
/** Of the aspect, which has no unit. */
const ASPECT_DEVIATION = 1e-2;
const ASPECT_VELOCITY_DEVIATION = 1e-5;
const MEASURED_ASPECT_DEVIATION = 1e-1;
/** How much less is known of a box that was seen once. */
const INITIAL_PLACE = 2;
const INITIAL_VELOCITY = 10;

/** Beyond any picture: what is larger is no place in one, and its square would leave the numbers. */
const MAX_PIXELS = 1e6;
/** A box without an edge has no aspect. */
const MIN_EDGE = 1;

const clamp = (value: number, min: number, max: number): number => Math.min(max, Math.max(min, value));
const square = (value: number): number => value * value;

const MEASURED_ASPECT_VARIANCE = square(MEASURED_ASPECT_DEVIATION);
const aspectNoise = { place: square(ASPECT_DEVIATION), velocity: square(ASPECT_VELOCITY_DEVIATION) };
const lengthNoise = (height: number) => ({ place: square(PLACE_DEVIATION * height), velocity: square(VELOCITY_DEVIATION * height) });

export class BoxMotion {
  readonly #x: ConstantVelocity;
  readonly #y: ConstantVelocity;
  readonly #aspect: ConstantVelocity;
  readonly #height: ConstantVelocity;
  #at: Milliseconds;

  constructor(at: Milliseconds, box: Box) {
    const { x, y, aspect, height } = measured(box);
    const initial = { place: square(INITIAL_PLACE * PLACE_DEVIATION * height), velocity: square(INITIAL_VELOCITY * VELOCITY_DEVIATION * height) };
    this.#at = at;
    this.#x = new ConstantVelocity(x, initial);
    this.#y = new ConstantVelocity(y, initial);
    this.#aspect = new ConstantVelocity(aspect, aspectNoise);
    this.#height = new ConstantVelocity(height, initial);
  }

  /** Where it is expected at `at`, not before the last time. `seen`: it was in the picture before; what was not keeps its size. */
  predict(at: Milliseconds, seen: boolean): Box {
    const steps = (at - this.#at) / REFERENCE_STEP;
    const noise = lengthNoise(this.#boundedHeight());
    this.#at = at;
    if (!seen) this.#height.velocity = 0;
    this.#x.predict(steps, noise);
    this.#y.predict(steps, noise);
    this.#aspect.predict(steps, aspectNoise);
    this.#height.predict(steps, noise);
    const height = this.#boundedHeight();
    const width = clamp(this.#aspect.place * height, MIN_EDGE, MAX_PIXELS);
    return { x: this.#x.place - width / 2, y: this.#y.place - height / 2, width, height };
  }

  /** Squared Mahalanobis distance, of four coordinates, from where it is expected at the time of the last prediction. */
  distance(box: Box): number {
    const { x, y, aspect, height } = measured(box);
    const variance = square(PLACE_DEVIATION * this.#boundedHeight());
    return this.#x.distance(x, variance) + this.#y.distance(y, variance) + this.#aspect.distance(aspect, MEASURED_ASPECT_VARIANCE) + this.#height.distance(height, variance);
  }

  /** It was seen there, at the time of the last prediction. */
  correct(box: Box): void {
    const { x, y, aspect, height } = measured(box);
    const variance = square(PLACE_DEVIATION * this.#boundedHeight());
    this.#x.correct(x, variance);
    this.#y.correct(y, variance);
    this.#aspect.correct(aspect, MEASURED_ASPECT_VARIANCE);
    this.#height.correct(height, variance);
  }

  #boundedHeight(): number {
    return clamp(this.#height.place, MIN_EDGE, MAX_PIXELS);
  }
}

const measured = (box: Box): { readonly x: number; readonly y: number; readonly aspect: number; readonly height: number } => {
  const width = clamp(box.width, MIN_EDGE, MAX_PIXELS);
  const height = clamp(box.height, MIN_EDGE, MAX_PIXELS);
  return { x: clamp(box.x, -MAX_PIXELS, MAX_PIXELS) + width / 2, y: clamp(box.y, -MAX_PIXELS, MAX_PIXELS) + height / 2, aspect: width / height, height };
};
