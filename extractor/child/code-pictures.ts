import type { Frame } from 'node-av/lib';
import { messageOf } from '../../core/errors.ts';
import type { FrameRef } from '../../core/frame-ref.ts';
import type { MediaTicks, Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import { FpsGate } from '../fps-gate.ts';
import type { CODE_SKIPS, CodeStatsMessage, CodesMessage, CodesWanted } from '../protocol.ts';
import type { CodeReader } from './code-reader.ts';
import { GreyScaler } from './grey-scaler.ts';

/** A picture of 720p is looked at as it is, a larger one as one of so many pixels: of 1080p that halves the time, and a code of 100 pixels of it is still read. */
export const MAX_PIXELS = 1 << 20;

export interface CodePicturesOptions {
  readonly handle: number;
  readonly reader: Pick<CodeReader, 'offer' | 'forget'>;
  /** Codes were read. */
  readonly send: (message: CodesMessage) => void;
  readonly logger: Logger;
}

/** A decoded picture's identity. */
export interface CodePictureMeta {
  readonly frame: FrameRef;
  /** In ticks of the camera's clock. */
  readonly pts: MediaTicks;
  readonly wall: Milliseconds;
  /** Too late to say what is to be seen now. */
  readonly decodeOnly: boolean;
}

type Skip = (typeof CODE_SKIPS)[number];

/** The pictures of one camera in which codes are looked for: as many a second as are wanted, their brightness alone, read elsewhere. */
export class CodePictures implements Disposable {
  readonly #options: CodePicturesOptions;
  #wanted: { readonly codes: CodesWanted; readonly gate: FpsGate; readonly scaler: GreyScaler } | null = null;
  #looked = 0;
  #skipped = new Map<Skip, number>();
  /** The same fault is logged once, not with every picture. */
  #lastError = '';

  constructor(options: CodePicturesOptions) {
    this.#options = options;
  }

  /** What is wanted from now on; undefined: nothing. */
  set(codes: CodesWanted | undefined, clockRate: number): void {
    const before = this.#wanted;
    if (!codes) {
      this[Symbol.dispose]();
      return;
    }
    this.#wanted = { codes, gate: before?.codes.fps === codes.fps ? before.gate : new FpsGate(codes.fps, clockRate), scaler: before?.scaler ?? new GreyScaler(MAX_PIXELS) };
  }

  /** A decoded picture, valid during the call. */
  take(picture: Frame, { frame, pts, wall, decodeOnly }: CodePictureMeta): void {
    const wanted = this.#wanted;
    if (!wanted) return;
    if (decodeOnly) {
      this.#skip('late');
      return;
    }
    if (!wanted.gate.takes(pts)) {
      this.#skip('fps');
      return;
    }
    const { handle, reader, send } = this.#options;
    try {
      const grey = wanted.scaler.scale(picture);
      reader.offer(handle, { ...grey, formats: wanted.codes.formats }, (outcome) => {
        if (this.#wanted?.scaler !== wanted.scaler) return; // nobody wants it any more
        if (outcome.type === 'skipped') {
          this.#skip(outcome.reason);
          return;
        }
        this.#looked++;
        if (outcome.codes.length > 0) send({ handle, frame, capturedAt: wall, codes: outcome.codes });
      });
    } catch (error) {
      this.#skip('failed');
      this.#tell(messageOf(error));
    }
  }

  /** What comes next does not continue what came before. */
  forget(): void {
    this.#wanted?.gate.reset();
  }

  /** What happened since the last call; null: nothing. */
  takeStats(): CodeStatsMessage | null {
    if (this.#looked === 0 && this.#skipped.size === 0) return null;
    const stats = { handle: this.#options.handle, looked: this.#looked, skipped: Object.fromEntries(this.#skipped) };
    this.#looked = 0;
    this.#skipped = new Map();
    return stats;
  }

  [Symbol.dispose](): void {
    this.#wanted?.scaler[Symbol.dispose]();
    this.#wanted = null;
    this.#options.reader.forget(this.#options.handle);
  }

  #skip(reason: Skip): void {
    this.#skipped.set(reason, (this.#skipped.get(reason) ?? 0) + 1);
  }

  #tell(why: string): void {
    if (why === this.#lastError) return;
    this.#lastError = why;
    this.#options.logger.warn({ handle: this.#options.handle, error: why }, 'no codes can be read in a picture');
  }
}
