/** H.264 over RTP, RFC 6184: single NAL unit, STAP-A and FU-A, so packetization modes 0 and 1. */
import { NalType, isFirstSlice, isVcl } from '../codec/h264/nal.ts';
import type { RtpTimestamp } from '../units.ts';
import type { DepacketizedUnit, Depacketizer, RtpPacket } from './port.ts';

const STAP_A = 24;
const FU_A = 28;
/** Larger than any access unit of level 6.2; what grows beyond is an attack or a stream we cannot carry. */
const MAX_UNIT_BYTES = 16 << 20;
const MAX_UNIT_NALS = 4_096;

/** A NAL unit being put together: a rebuilt header byte (FU-A) or −1, then views of packet payloads. */
interface NalParts {
  readonly header: number;
  readonly type: number;
  length: number;
  readonly parts: Buffer[];
}

export class H264Depacketizer implements Depacketizer {
  #droppedUnits = 0;
  #timestamp: RtpTimestamp | null = null;
  #nals: NalParts[] = [];
  #bytes = 0;
  #hasVcl = false;
  /** The last NAL unit is an FU-A whose end has not come. */
  #fragmented = false;
  #damaged = false;
  /** Packets before the next one were lost: whether a unit's beginning was among them is seen from its first slice. */
  #afterLoss = false;

  get droppedUnits(): number {
    return this.#droppedUnits;
  }

  push(packet: RtpPacket, out: DepacketizedUnit[]): void {
    if (this.#timestamp !== null && packet.timestamp !== this.#timestamp) {
      // Some cameras never set the marker bit; others send SPS and PPS under a timestamp of their own: those join the picture that follows.
      if (this.#hasVcl || this.#damaged) this.#finish(out);
    }
    this.#timestamp = packet.timestamp;
    if (packet.payload.length > 0) {
      if (this.#damaged || !this.#take(packet.payload)) this.#spoil();
    }
    if (packet.marker && (this.#hasVcl || this.#damaged)) this.#finish(out);
  }

  lost(): void {
    if (this.#timestamp !== null && this.#nals.length > 0) this.#spoil();
    this.#afterLoss = true;
  }

  /** The unit in progress cannot become whole: nothing of it is kept. */
  #spoil(): void {
    this.#damaged = true;
    this.#nals = [];
    this.#bytes = 0;
  }

  /** Adds one payload; false when it cannot belong to a whole access unit. */
  #take(payload: Buffer): boolean {
    const type = payload.readUInt8(0) & 0x1f;
    if (type === FU_A) return this.#takeFragment(payload);
    if (this.#fragmented) return false; // a fragment's end is missing
    if (type === STAP_A) return this.#takeAggregate(payload);
    if (type === 0 || type > 23) return false; // STAP-B, MTAP, FU-B: interleaved mode, never negotiated
    return this.#startNal(-1, type, payload);
  }

  #takeAggregate(payload: Buffer): boolean {
    let offset = 1;
    while (offset + 2 < payload.length) {
      const end = offset + 2 + payload.readUInt16BE(offset);
      if (end > payload.length) return false;
      if (end > offset + 2) {
        const nal = payload.subarray(offset + 2, end);
        if (!this.#startNal(-1, nal.readUInt8(0) & 0x1f, nal)) return false;
      }
      offset = end;
    }
    return true;
  }

  #takeFragment(payload: Buffer): boolean {
    if (payload.length < 3) return false;
    const head = payload.readUInt8(1);
    const body = payload.subarray(2);
    if (head & 0x80) {
      if (this.#fragmented) return false;
      this.#fragmented = (head & 0x40) === 0; // start and end in one packet is forbidden, but seen (§5.8)
      return this.#startNal((payload.readUInt8(0) & 0xe0) | (head & 0x1f), head & 0x1f, body);
    }
    const nal = this.#nals.at(-1);
    if (!this.#fragmented || !nal || nal.type !== (head & 0x1f)) return false;
    nal.parts.push(body);
    nal.length += body.length;
    this.#bytes += body.length;
    if (head & 0x40) this.#fragmented = false;
    return this.#bytes <= MAX_UNIT_BYTES;
  }

  #startNal(header: number, type: number, body: Buffer): boolean {
    if (isVcl(type)) {
      if (!this.#hasVcl && this.#afterLoss) {
        const firstByte = header < 0 ? body : Buffer.from([header, body.readUInt8(0)]);
        if (!isFirstSlice(firstByte)) return false;
      }
      this.#afterLoss = false;
      this.#hasVcl = true;
    }
    const length = body.length + (header < 0 ? 0 : 1);
    this.#nals.push({ header, type, length, parts: [body] });
    this.#bytes += 4 + length;
    return this.#bytes <= MAX_UNIT_BYTES && this.#nals.length <= MAX_UNIT_NALS;
  }

  #finish(out: DepacketizedUnit[]): void {
    if (this.#damaged || this.#fragmented || this.#timestamp === null) this.#droppedUnits++;
    else out.push(this.#assemble(this.#timestamp));
    this.#nals = [];
    this.#bytes = 0;
    this.#hasVcl = false;
    this.#fragmented = false;
    this.#damaged = false;
  }

  #assemble(timestamp: RtpTimestamp): DepacketizedUnit {
    const data = Buffer.allocUnsafe(this.#bytes);
    let offset = 0;
    let randomAccess = false;
    let sps: Buffer | null = null;
    let pps: Buffer | null = null;
    for (const nal of this.#nals) {
      offset = data.writeUInt32BE(nal.length, offset);
      const start = offset;
      if (nal.header >= 0) offset = data.writeUInt8(nal.header, offset);
      for (const part of nal.parts) {
        data.set(part, offset);
        offset += part.length;
      }
      if (nal.type === NalType.idr) randomAccess = true;
      else if (nal.type === NalType.sps) sps = data.subarray(start, offset);
      else if (nal.type === NalType.pps) pps = data.subarray(start, offset);
    }
    return { timestamp, data, randomAccess, sps, pps, size: null };
  }
}
