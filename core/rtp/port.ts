/** core/rtp/: what (de)packetisers and their callers share. Pure. */
import type { RtpTimestamp } from '../units.ts';
import type { RtpPacket } from './packet.ts';

export type { RtpPacket } from './packet.ts';

/** One whole access unit out of a depacketiser. */
export interface DepacketizedUnit {
  readonly timestamp: RtpTimestamp;
  /** As `AccessUnit.data`. */
  readonly data: Buffer;
  readonly randomAccess: boolean;
  /** H.264: parameter sets found in this unit (last of each), else null. */
  readonly sps: Buffer | null;
  readonly pps: Buffer | null;
  /** VP8 key frames: picture size, else null. */
  readonly size: { readonly width: number; readonly height: number } | null;
}

/** Packets in order (after the jitter buffer), units out. Never throws on hostile bytes. */
export interface Depacketizer {
  /** Appends complete units to `out`. */
  push(packet: RtpPacket, out: DepacketizedUnit[]): void;
  /** Packets before the next one were lost: the unit being put together is dropped. */
  lost(): void;
  /** Units dropped because a packet of theirs was lost or malformed. */
  readonly droppedUnits: number;
}

/** Access unit → payloads for packets of at most `maxPayload` bytes; calls `emit` for each, `last` sets the marker bit. */
export interface Packetizer {
  packetize(data: Buffer, emit: (payload: readonly Buffer[], last: boolean) => void): void;
}
