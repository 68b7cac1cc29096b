import { hash } from 'node:crypto';
import type { CameraId } from '../../core/frame-ref.ts';
import type { CodeReading, CodeSeen } from '../../media-control/port.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { LastCode } from '../port.ts';
import type { CodeStatsMessage, CodesMessage, ReadCode } from '../protocol.ts';
import { SeenCodes } from './seen-codes.ts';

export interface CameraCodesOptions {
  readonly camera: CameraId;
  readonly metrics: Pick<Metrics, 'codesSeen' | 'codesHeldBack' | 'codePictures' | 'codePicturesSkipped'>;
  readonly onSeen: (seen: CodeSeen) => void;
}

const keyOf = ({ format, text, bytes }: ReadCode): string => hash('sha256', JSON.stringify([format, text, bytes]), 'base64');

/** Of what it holds, about as many bytes. */
const sizeOf = (code: ReadCode | undefined): number => (code?.text ?? code?.bytes)?.length ?? 0;

/** The printed codes that come into a camera's picture: follows what is configured, and tells each one [PRO-2]. It outlives the processes that read them. */
export class CameraCodes {
  readonly #options: CameraCodesOptions;
  #reading: CodeReading | null = null;
  #seen = new SeenCodes();
  #last: LastCode | null = null;

  constructor(options: CameraCodesOptions) {
    this.#options = options;
  }

  /** The code that was read last; null: none since codes are read. */
  get last(): LastCode | null {
    return this.#last;
  }

  /** Takes what is configured now. */
  follow(reading: CodeReading | undefined): void {
    if (!reading) {
      this.#seen = new SeenCodes();
      this.#last = null;
    }
    this.#reading = reading ?? null;
  }

  /** What was read in one picture; pictures come in order. */
  see({ frame, capturedAt, codes }: CodesMessage): void {
    const { camera, metrics, onSeen } = this.#options;
    if (!this.#reading) return; // it was under way when it was switched off
    for (const { format, text } of codes.slice(0, 1)) this.#last = { format, text, at: capturedAt };
    const byKey = new Map(codes.map((code) => [keyOf(code), code]));
    const { told, heldBack } = this.#seen.see(capturedAt, [...byKey.keys()], this.#reading.repeatMs, (key) => sizeOf(byKey.get(key)));
    if (heldBack > 0) metrics.codesHeldBack.inc({ camera }, heldBack);
    for (const [key, firstSeen] of told) {
      const code = byKey.get(key);
      if (!code) continue;
      const { format, text, bytes, corners } = code;
      metrics.codesSeen.inc({ camera, format });
      onSeen({ camera, format, text, bytes, corners, firstSeen, at: Math.max(firstSeen, capturedAt), epoch: frame.epoch, rtpTs: frame.rtpTs, seq: frame.seq });
    }
  }

  onStats({ looked, skipped }: CodeStatsMessage): void {
    const { camera, metrics } = this.#options;
    metrics.codePictures.inc({ camera }, looked);
    for (const [reason, count] of Object.entries(skipped)) metrics.codePicturesSkipped.inc({ camera, reason }, count);
  }
}
