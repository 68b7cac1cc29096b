/** AAC over RTP, RFC 3640 (mode AAC-hbr and its relatives without auxiliary data). */
import { BitReader } from '../bits/bit-reader.ts';
import type { RtpTimestamp } from '../units.ts';
import type { DepacketizedUnit, Depacketizer, RtpPacket } from './port.ts';

/** From the fmtp line: `sizeLength=13;indexLength=3;indexDeltaLength=3` for AAC-hbr. */
export interface AacPayloadFormat {
  readonly sizeLength: number;
  readonly indexLength: number;
  readonly indexDeltaLength: number;
  /** Samples per access unit, from the AudioSpecificConfig. */
  readonly frameSamples?: number;
}

const MAX_UNIT_BYTES = 1 << 16;

export class AacDepacketizer implements Depacketizer {
  readonly #format: AacPayloadFormat;
  readonly #frameSamples: number;
  #droppedUnits = 0;
  /** A unit larger than a packet (§3.2.3.1): same timestamp and same header in each of its packets. */
  #fragment: { readonly timestamp: RtpTimestamp; readonly size: number; readonly parts: Buffer[]; bytes: number } | null = null;

  constructor(format: AacPayloadFormat) {
    this.#format = format;
    this.#frameSamples = format.frameSamples ?? 1024;
  }

  get droppedUnits(): number {
    return this.#droppedUnits;
  }

  push(packet: RtpPacket, out: DepacketizedUnit[]): void {
    if (packet.payloadEnd === packet.payloadStart) return;
    if (!this.#take(packet, out)) this.#droppedUnits++;
  }

  lost(): void {
    if (this.#fragment) this.#droppedUnits++;
    this.#fragment = null;
  }

  #take(packet: RtpPacket, out: DepacketizedUnit[]): boolean {
    const { payload, timestamp } = packet;
    const { sizeLength, indexLength, indexDeltaLength } = this.#format;
    if (payload.length < 2) return false;
    const headerBits = payload.readUInt16BE(0);
    let offset = 2 + Math.ceil(headerBits / 8);
    const headerSize = sizeLength + indexLength;
    if (offset > payload.length || headerBits < headerSize || headerSize === 0) return false;
    const reader = new BitReader(payload.subarray(2, offset));
    let left = headerBits;
    let index = 0;
    for (let i = 0; ; i++) {
      const bits = sizeLength + (i === 0 ? indexLength : indexDeltaLength);
      if (bits === 0 || left < bits) break;
      const size = reader.bits(sizeLength);
      const delta = reader.bits(i === 0 ? indexLength : indexDeltaLength);
      left -= bits;
      index = i === 0 ? 0 : index + delta + 1;
      if (i === 0 && size > payload.length - offset) return left < sizeLength + indexDeltaLength && this.#takeFragment(packet, size, payload.subarray(offset), out);
      if (this.#fragment) this.lost();
      if (size === 0 || offset + size > payload.length) return false;
      out.push(unit((timestamp + index * this.#frameSamples) >>> 0, Buffer.from(payload.subarray(offset, offset + size))));
      offset += size;
    }
    return true;
  }

  #takeFragment(packet: RtpPacket, size: number, part: Buffer, out: DepacketizedUnit[]): boolean {
    if (size > MAX_UNIT_BYTES) return false;
    if (this.#fragment && (this.#fragment.timestamp !== packet.timestamp || this.#fragment.size !== size)) this.lost();
    const fragment = (this.#fragment ??= { timestamp: packet.timestamp, size, parts: [], bytes: 0 });
    fragment.parts.push(Buffer.from(part));
    fragment.bytes += part.length;
    if (fragment.bytes < size) {
      if (!packet.marker) return true;
      this.#fragment = null; // the last fragment came, and it is too short
      return false;
    }
    this.#fragment = null;
    if (fragment.bytes > size) return false;
    out.push(unit(packet.timestamp, Buffer.concat(fragment.parts, size)));
    return true;
  }
}

const unit = (timestamp: RtpTimestamp, data: Buffer): DepacketizedUnit =>
  ({ timestamp, data, randomAccess: true, sps: null, pps: null, size: null });
