import { MediaError } from '../core/errors.ts';
import type { CameraId } from '../core/frame-ref.ts';

/** For people who watch: what a page may say as it stands. */
export const DISTRIBUTION_OFF = 'The live view of this camera has been switched off by an operator.';

/** So that nobody who waits for it asks more often. */
const RETRY_SECONDS = 5;

/**
 * Refuses a viewer of a camera that is shown to nobody (SD-53). 409, as where nobody publishes: the request is right, the camera is not in a
 * state for it. Not 403, for another credential changes nothing; not 503, for nothing is broken and players would hammer at it.
 */
export const distributionOff = (camera: CameraId): MediaError =>
  new MediaError('FAILED_PRECONDITION', DISTRIBUTION_OFF, { reason: 'DISTRIBUTION_OFF', retryAfterSeconds: RETRY_SECONDS, context: { camera } });
