/** core/rtp/: what (de)packetisers and their callers share. Pure. */
import type { RtpTimestamp } from '../units.ts';

/** A parsed RTP packet (RFC 3550 §5.1), a view of the received buffer. */
export interface RtpPacket {
  /** What it lies in, perhaps beside others. */
  readonly bytes: Buffer;
  /** Of the whole packet, header and padding included. */
  readonly byteLength: number;
  readonly marker: boolean;
  readonly payloadType: number;
  readonly sequenceNumber: number;
  readonly timestamp: RtpTimestamp;
  readonly ssrc: number;
  /** Where in `bytes` the payload lies, padding left out. */
  readonly payloadStart: number;
  readonly payloadEnd: number;
  /** The payload as a view, made anew each time: not for what looks at every packet of a large picture. */
  readonly payload: Buffer;
  /** Offset and length of the header extension's body in `bytes`, and its profile; 0 when there is none. */
  readonly extensionProfile: number;
  readonly extensionStart: number;
  readonly extensionLength: number;
}

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
