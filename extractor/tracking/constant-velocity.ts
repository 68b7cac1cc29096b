/** Variances of one coordinate, for one reference step (`REFERENCE_STEP`). */
export interface MotionNoise {
  readonly place: number;
  readonly velocity: number;
}

/**
 * A Kalman filter of one coordinate that moves with constant velocity (R. E. Kalman 1960). Time is counted in reference steps, of which there may
 * be any number, also a fraction, from one measurement to the next.
 */
export class ConstantVelocity {
  /** Estimate: where it is, and by how much it moves in a step. */
  place: number;
  velocity = 0;
  /** Covariance of the two. */
  #placeVariance: number;
  #covariance = 0;
  #velocityVariance: number;

  constructor(place: number, initial: MotionNoise) {
    this.place = place;
    this.#placeVariance = initial.place;
    this.#velocityVariance = initial.velocity;
  }

  /** `steps` later. Process noise is continuous: over n steps it has n times the variance, and what velocity gains goes into the place meanwhile. */
  predict(steps: number, noise: MotionNoise): void {
    const gained = steps * noise.velocity;
    this.place += steps * this.velocity;
    this.#placeVariance += steps * (2 * this.#covariance + steps * this.#velocityVariance + noise.place + (steps * gained) / 3);
    this.#covariance += steps * (this.#velocityVariance + gained / 2);
    this.#velocityVariance += gained;
  }

  /** Squared distance of a measurement, with an error of that variance, from where it is expected: in standard deviations of the two together (Mahalanobis). */
  distance(measured: number, variance: number): number {
    return (measured - this.place) ** 2 / (this.#placeVariance + variance);
  }

  /** It was seen at `measured`, with an error of that variance, which is more than 0. */
  correct(measured: number, variance: number): void {
    const total = this.#placeVariance + variance;
    const placeGain = this.#placeVariance / total;
    const velocityGain = this.#covariance / total;
    const surprise = measured - this.place;
    this.place += placeGain * surprise;
    this.velocity += velocityGain * surprise;
    this.#velocityVariance -= velocityGain * this.#covariance;
    this.#covariance *= 1 - placeGain;
    this.#placeVariance *= 1 - placeGain;
  }
}
