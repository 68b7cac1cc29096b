/** Between an upload and the thread that reads its file. */
import type { AudioTrack } from '../../core/track.ts';
import type { MediaTicks, Milliseconds } from '../../core/units.ts';

export interface Mp4WorkerData {
  readonly path: string;
  /** A longer file is refused. */
  readonly maxSeconds: number;
}

/** As `ClipSample`, its bytes in the batch's. */
export interface BatchSample {
  readonly kind: 'video' | 'audio';
  readonly randomAccess: boolean;
  /** Ticks of 90 kHz or of the audio's rate, from the file's first picture. */
  readonly pts: MediaTicks;
  readonly dts: MediaTicks;
  readonly duration: MediaTicks;
  readonly bytes: number;
}

/** To the main thread: `head` once the whole file was read, then a `batch` for each message that asks for one, then `end`; or `refused`. */
export type Mp4WorkerMessage =
  | { readonly type: 'head'; readonly sps: Uint8Array; readonly pps: Uint8Array; readonly audio: AudioTrack | null; readonly duration: Milliseconds; readonly pictures: number }
  | { readonly type: 'batch'; readonly samples: readonly BatchSample[]; readonly data: ArrayBuffer }
  | { readonly type: 'end' }
  | { readonly type: 'refused'; readonly message: string; readonly reason: string };
