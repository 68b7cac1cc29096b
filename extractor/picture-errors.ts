import { MediaError } from '../core/errors.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';

/** So long somebody waits for a first picture: a decoder may have to be started, and to wait for a key frame. */
export const PICTURE_DEADLINE_MS: Milliseconds = 10_000;
/** All of these may be over a moment later. */
const RETRY_SECONDS = 1;

export const noCamera = (camera: CameraId): MediaError => new MediaError('NOT_FOUND', 'There is no such camera.', { context: { camera } });

export const nobodyPublishes = (camera: CameraId): MediaError =>
  new MediaError('FAILED_PRECONDITION', 'Nobody publishes this camera now.', { reason: 'NO_PUBLISHER', retryAfterSeconds: RETRY_SECONDS, context: { camera } });

/** It took longer than `PICTURE_DEADLINE_MS`. */
export const noPicture = (camera: CameraId): MediaError =>
  new MediaError('UNAVAILABLE', `No picture of the camera could be decoded within ${String(PICTURE_DEADLINE_MS / 1000)} s.`, { reason: 'NO_PICTURE', retryAfterSeconds: RETRY_SECONDS, context: { camera } });

export const tooManyStills = (camera: CameraId, limit: number): MediaError =>
  new MediaError('UNAVAILABLE', 'Too many pictures of this camera are asked for at a time.', { reason: 'TOO_MANY_PICTURES', retryAfterSeconds: RETRY_SECONDS, context: { camera, limit } });

export const tooManyWait = (camera: CameraId, limit: number): MediaError =>
  new MediaError('UNAVAILABLE', 'Too many wait for the first picture of this camera.', { reason: 'TOO_MANY_WAITING', retryAfterSeconds: RETRY_SECONDS, context: { camera, limit } });

export const tooManyAnnotated = (camera: CameraId, limit: number): MediaError =>
  new MediaError('UNAVAILABLE', `${String(limit)} cameras are watched with boxes burned in already, as many as this server encodes at a time.`, { reason: 'TOO_MANY_ANNOTATED', retryAfterSeconds: 10, context: { camera, limit } });

export const tooManyKinds = (camera: CameraId, limit: number): MediaError =>
  new MediaError('UNAVAILABLE', `The camera is watched in ${String(limit)} kinds of pictures already; ask for the size and quality of another viewer.`, { reason: 'TOO_MANY_PICTURE_KINDS', retryAfterSeconds: RETRY_SECONDS, context: { camera, limit } });

export const notEncoded = (camera: CameraId): MediaError => new MediaError('UNPROCESSABLE', 'The picture cannot be encoded at this size and in this format.', { reason: 'PICTURE_NOT_ENCODED', context: { camera } });

export const tooLarge = (camera: CameraId): MediaError =>
  new MediaError('UNPROCESSABLE', 'The picture is too large in this format; ask for a smaller one, or for JPEG.', { reason: 'PICTURE_TOO_LARGE', context: { camera } });
