/** What control and its planner thread say to each other; the only file both sides import. */
import type { ErrorCode } from '../core/errors.ts';
import type { ExtentColumns } from '../core/fmp4/extent-table.ts';
import type { PlannedPlayback } from './playback-plan.ts';
import type { PlaybackRange } from './port.ts';

/** `segments`: what a local file needs; more is asked of control by number. */
export interface PlanRequest {
  readonly type: 'plan';
  readonly id: number;
  readonly directory: string;
  readonly range: PlaybackRange;
  readonly ids: readonly string[];
  readonly bytes: Float64Array<ArrayBuffer>;
  readonly open: Uint8Array<ArrayBuffer>;
}

/** Bytes of a segment that has no local file. */
export interface BytesWanted {
  readonly type: 'read';
  readonly id: number;
  readonly ask: number;
  readonly segment: number;
  readonly position: number;
  readonly length: number;
}

export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly reason: string | undefined;
}

export type ToThread = PlanRequest | { readonly type: 'bytes'; readonly ask: number; readonly bytes: Uint8Array | Refusal };

export interface PlannedMessage extends Omit<PlannedPlayback, 'plan'> {
  readonly type: 'planned';
  readonly id: number;
  readonly header: Uint8Array;
  readonly extents: ExtentColumns;
  readonly byteLength: number;
}

export type FromThread = PlannedMessage | BytesWanted | { readonly type: 'refused'; readonly id: number; readonly error: Refusal };
