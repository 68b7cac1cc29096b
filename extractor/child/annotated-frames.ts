import { FFmpegError, Frame } from 'node-av/lib';
import type { Clock } from '../../core/clock.ts';
import type { DetectionResult } from '../../core/detection.ts';
import { FrameResults } from '../../core/frame-results.ts';
import type { FramePicture } from '../../core/frame-results.ts';
import type { PictureMeta } from './camera-pictures.ts';
import { frameBoxes } from './frame-boxes.ts';

export interface AnnotatedFramesOptions {
  readonly clock: Clock;
  /** Takes a picture, with its boxes in `meta`; valid during the call. Called from a timer, too. */
  readonly deliver: (picture: Frame, meta: PictureMeta) => void;
}

interface Held extends FramePicture {
  readonly picture: Frame;
  readonly meta: PictureMeta;
  /** The detectors that look at it. */
  readonly detectors: readonly string[];
}

/** Holds decoded pictures back until what detectors found in them is known, and hands them on in order, with their boxes. Nothing is copied. */
export class AnnotatedFrames implements Disposable {
  readonly #results: FrameResults<Held>;
  #forgotten = 0;

  constructor({ clock, deliver }: AnnotatedFramesOptions) {
    this.#results = new FrameResults<Held>({
      clock,
      awaits: ({ detectors }, detector) => detectors.includes(detector),
      deliver: ({ picture, meta, ...held }, results) => {
        try {
          deliver(picture, { ...meta, boxes: frameBoxes(held, picture.width, picture.height, results) });
        } finally {
          picture.free();
        }
      },
      onForgotten: ({ picture }) => {
        this.#forgotten++;
        picture.free();
      },
    });
  }

  /** A decoded picture, valid during the call. `detectors`: those that look at it. Throws when there is no memory. */
  take(picture: Frame, meta: PictureMeta, detectors: readonly string[]): void {
    const held = new Frame();
    held.alloc();
    const code = held.ref(picture);
    if (code < 0) held.free();
    FFmpegError.throwIfError(code, 'holding a picture');
    this.#results.onPicture({ frame: meta.frame, capturedAt: meta.wall, picture: held, meta, detectors });
  }

  /** Results are remembered while nobody looks, too: who comes sees their boxes at once. */
  onResult(detector: string, result: DetectionResult): void {
    this.#results.onResult(detector, result);
  }

  /** What comes next does not continue what came before. How many pictures were let go. */
  forget(): number {
    this.#forgotten = 0;
    this.#results[Symbol.dispose]();
    return this.#forgotten;
  }

  [Symbol.dispose](): void {
    this.forget();
  }
}
