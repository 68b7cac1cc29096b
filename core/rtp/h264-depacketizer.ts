/** H.264 over RTP, RFC 6184: single NAL unit, STAP-A and FU-A, so packetization modes 0 and 1. */
import { NalType, isFirstSlice, isVcl } from '../codec/h264/nal.ts';
import type { RtpTimestamp } from '../units.ts';
import type { DepacketizedUnit, Depacketizer, RtpPacket } from './port.ts';

const STAP_A = 24;
const FU_A = 28;
/** Larger than any access unit of level 6.2; what grows beyond is an attack or a stream we cannot carry. */
const MAX_UNIT_BYTES = 16 << 20;
const MAX_UNIT_NALS = 4_096;
/** Pieces of packets; 16 MiB in full packets are a fifth of them. */
const MAX_UNIT_PIECES = 1 << 16;
const NOTHING = Buffer.alloc(0);

/** A NAL unit being put together: a rebuilt header byte (FU-A) or −1, and its first piece; its last is the one before the next NAL unit's. */
interface NalParts {
  readonly header: number;
  readonly type: number;
  length: number;
  readonly firstPiece: number;
}

export class H264Depacketizer implements Depacketizer {
  #droppedUnits = 0;
  #timestamp: RtpTimestamp | null = null;
  #nals: NalParts[] = [];
  /** Where the bytes of the NAL units lie, piece by piece: `#sources[i]` from `#starts[i]` to `#ends[i]`. Lists that stay: there is a piece for every packet. */
  readonly #sources: Buffer[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  #pieces = 0;
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
    if (packet.payloadEnd > packet.payloadStart) {
      if (this.#damaged || !this.#take(packet)) this.#spoil();
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
    this.#forget();
  }

  #forget(): void {
    this.#nals = [];
    this.#sources.fill(NOTHING, 0, this.#pieces); // the packets are not kept any longer
    this.#pieces = 0;
    this.#bytes = 0;
  }

  /** Adds one payload; false when it cannot belong to a whole access unit. */
  #take({ bytes, payloadStart: start, payloadEnd: end }: RtpPacket): boolean {
    const type = bytes.readUInt8(start) & 0x1f;
    if (type === FU_A) return this.#takeFragment(bytes, start, end);
    if (this.#fragmented) return false; // a fragment's end is missing
    if (type === STAP_A) return this.#takeAggregate(bytes, start, end);
    if (type === 0 || type > 23) return false; // STAP-B, MTAP, FU-B: interleaved mode, never negotiated
    return this.#startNal(-1, type, bytes, start, end);
  }

  #takeAggregate(bytes: Buffer, start: number, end: number): boolean {
    let offset = start + 1;
    while (offset + 2 < end) {
      const nal = offset + 2;
      offset = nal + bytes.readUInt16BE(offset);
      if (offset > end) return false;
      if (offset > nal && !this.#startNal(-1, bytes.readUInt8(nal) & 0x1f, bytes, nal, offset)) return false;
    }
    return true;
  }

  #takeFragment(bytes: Buffer, start: number, end: number): boolean {
    if (end - start < 3) return false;
    const head = bytes.readUInt8(start + 1);
    if (head & 0x80) {
      if (this.#fragmented) return false;
      this.#fragmented = (head & 0x40) === 0; // start and end in one packet is forbidden, but seen (§5.8)
      return this.#startNal((bytes.readUInt8(start) & 0xe0) | (head & 0x1f), head & 0x1f, bytes, start + 2, end);
    }
    const nal = this.#nals.at(-1);
    if (!this.#fragmented || !nal || nal.type !== (head & 0x1f)) return false;
    nal.length += end - start - 2;
    if (head & 0x40) this.#fragmented = false;
    return this.#addPiece(bytes, start + 2, end);
  }

  #startNal(header: number, type: number, bytes: Buffer, start: number, end: number): boolean {
    if (isVcl(type)) {
      if (!this.#hasVcl && this.#afterLoss) {
        const begin = header < 0 ? bytes.subarray(start, end) : Buffer.from([header, bytes.readUInt8(start)]);
        if (!isFirstSlice(begin)) return false;
      }
      this.#afterLoss = false;
      this.#hasVcl = true;
    }
    const headerBytes = header < 0 ? 0 : 1;
    this.#nals.push({ header, type, length: headerBytes + end - start, firstPiece: this.#pieces });
    this.#bytes += 4 + headerBytes;
    return this.#addPiece(bytes, start, end) && this.#nals.length <= MAX_UNIT_NALS;
  }

  /** False when the unit becomes too large, or comes in too many pieces. */
  #addPiece(bytes: Buffer, start: number, end: number): boolean {
    this.#sources[this.#pieces] = bytes;
    this.#starts[this.#pieces] = start;
    this.#ends[this.#pieces] = end;
    this.#pieces++;
    this.#bytes += end - start;
    return this.#bytes <= MAX_UNIT_BYTES && this.#pieces <= MAX_UNIT_PIECES;
  }

  #finish(out: DepacketizedUnit[]): void {
    if (this.#damaged || this.#fragmented || this.#timestamp === null) this.#droppedUnits++;
    else out.push(this.#assemble(this.#timestamp));
    this.#forget();
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
    for (let i = 0, piece = 0; i < this.#nals.length; i++) {
      const nal = this.#nals[i];
      if (!nal) break;
      offset = data.writeUInt32BE(nal.length, offset);
      const start = offset;
      if (nal.header >= 0) offset = data.writeUInt8(nal.header, offset);
      for (const end = this.#nals[i + 1]?.firstPiece ?? this.#pieces; piece < end; piece++) {
        offset += this.#sources[piece]?.copy(data, offset, this.#starts[piece], this.#ends[piece]) ?? 0;
      }
      if (nal.type === NalType.idr) randomAccess = true;
      else if (nal.type === NalType.sps) sps = data.subarray(start, offset);
      else if (nal.type === NalType.pps) pps = data.subarray(start, offset);
    }
    return { timestamp, data, randomAccess, sps, pps, size: null };
  }
}
