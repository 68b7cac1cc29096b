import type { MediaError } from '../../core/errors.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { DetectionResult } from '../../core/detection.ts';
import type { LivePicture, PictureSource, PictureSpec } from '../../extractor/port.ts';

/** The n-th picture of a camera with 10 a second. For tests. */
export const pictureOf = (seq: number, bytes: Buffer = Buffer.from(`JPEG ${String(seq)}`)): LivePicture => ({
  frame: { stream: 'line-1', epoch: 7, rtpTs: seq * 9000, captureNtp: null, seq }, capturedAt: 1_750_000_000_000 + 100 * seq, pts: 100 * seq, format: 'jpeg', width: 640, height: 360,
  sourceWidth: 1280, sourceHeight: 720, drawn: null, bytes,
});

/** What a detector says of it: one box, named as the picture. */
export const resultOf = (seq: number, className = String(seq)): DetectionResult => ({
  frame: { stream: 'line-1', epoch: 7, rtpTs: seq * 9000, captureNtp: null, seq }, capturedAt: 1_750_000_000_000 + 100 * seq, model: 'm', modelDigest: 'd', inferenceMs: 1, width: 1280, height: 720,
  detections: [{ className, classId: 0, confidence: 0.92, bbox: { x: 300, y: 400, width: 160, height: 360.5 }, trackId: null }],
});

/** Shows what a test says. For tests. */
export class FakePictures implements PictureSource {
  readonly watchers = new Set<{ readonly camera: CameraId; readonly spec: PictureSpec; readonly fps: number; readonly listener: (picture: LivePicture) => void }>();
  /** What the next who watch, or ask for a still, are refused with. */
  refusal: MediaError | null = null;

  still(_camera: CameraId, spec: PictureSpec): Promise<LivePicture> {
    if (this.refusal) return Promise.reject(this.refusal);
    return Promise.resolve({ ...pictureOf(3), format: spec.format, drawn: spec.annotated ? { how: 'held', ageMs: 66.6 } : null });
  }

  watch(camera: CameraId, spec: PictureSpec, fps: number, listener: (picture: LivePicture) => void): Disposable {
    if (this.refusal) throw this.refusal;
    const watcher = { camera, spec, fps, listener };
    this.watchers.add(watcher);
    return { [Symbol.dispose]: () => { this.watchers.delete(watcher); } };
  }

  show(picture: LivePicture): void {
    for (const { listener } of this.watchers) listener(picture);
  }
}
