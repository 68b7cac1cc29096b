/** H.264 into RTP payloads, RFC 6184 packetization mode 1: single NAL unit, STAP-A for small parameter sets and SEI, FU-A for what is too large. */
import { NalType, avccNals, nalType } from '../codec/h264/nal.ts';
import type { Packetizer } from './port.ts';

const STAP_A = 24;
const FU_A = 28;

const aggregates = (type: number): boolean => type === NalType.sps || type === NalType.pps || type === NalType.sei;

/** What a decoder does not need and RTP says by other means: delimiters (the marker bit) and filler. */
const needless = (type: number): boolean =>
  type === NalType.accessUnitDelimiter || type === NalType.filler || type === NalType.endOfSequence || type === NalType.endOfStream;

export class H264Packetizer implements Packetizer {
  readonly #maxPayload: number;
  /** Scratch, valid during `emit` only: nothing is allocated per fragment. */
  readonly #fuHeader = Buffer.alloc(2);
  readonly #fuPayload: Buffer[] = [this.#fuHeader, this.#fuHeader];

  /** `maxPayload`: bytes after the RTP header, ≥ 3. */
  constructor(maxPayload: number) {
    this.#maxPayload = maxPayload;
  }

  /** The payload given to `emit` is valid only during the call. Access unit delimiters and filler are left out. Throws INVALID_ARGUMENT for data that is not AVCC. */
  packetize(data: Buffer, emit: (payload: readonly Buffer[], last: boolean) => void): void {
    const nals = avccNals(data).filter((nal) => !needless(nalType(nal)));
    for (let i = 0; i < nals.length; ) {
      const nal = nals[i];
      if (!nal) return;
      const count = this.#aggregatable(nals, i);
      const last = i + count >= nals.length;
      if (count > 1) emit(aggregate(nals.slice(i, i + count)), last);
      else if (nal.length <= this.#maxPayload) emit([nal], last);
      else this.#fragment(nal, last, emit);
      i += count;
    }
  }

  /** How many NAL units from `start` on fit one STAP-A; 1 means: no aggregation. */
  #aggregatable(nals: readonly Buffer[], start: number): number {
    let bytes = 1;
    let count = 0;
    for (let i = start; i < nals.length; i++) {
      const nal = nals[i];
      if (!nal || !aggregates(nalType(nal))) break;
      bytes += 2 + nal.length;
      if (bytes > this.#maxPayload) break;
      count++;
    }
    return Math.max(1, count);
  }

  #fragment(nal: Buffer, lastNal: boolean, emit: (payload: readonly Buffer[], last: boolean) => void): void {
    const head = nal.readUInt8(0);
    const room = this.#maxPayload - 2;
    // Equal fragments rather than full ones and a crumb: the same number of packets, smoother on the wire.
    const count = Math.ceil((nal.length - 1) / room);
    const size = Math.ceil((nal.length - 1) / count);
    this.#fuHeader[0] = (head & 0xe0) | FU_A;
    for (let offset = 1; offset < nal.length; offset += size) {
      const end = Math.min(nal.length, offset + size);
      this.#fuHeader[1] = (offset === 1 ? 0x80 : 0) | (end === nal.length ? 0x40 : 0) | (head & 0x1f);
      this.#fuPayload[1] = nal.subarray(offset, end);
      emit(this.#fuPayload, lastNal && end === nal.length);
    }
  }
}

const aggregate = (nals: readonly Buffer[]): Buffer[] => {
  let forbidden = 0;
  let importance = 0;
  const payload: Buffer[] = [Buffer.allocUnsafe(1)];
  for (const nal of nals) {
    const head = nal.readUInt8(0);
    forbidden |= head & 0x80;
    importance = Math.max(importance, head & 0x60);
    const size = Buffer.allocUnsafe(2);
    size.writeUInt16BE(nal.length);
    payload.push(size, nal);
  }
  payload[0]?.writeUInt8(forbidden | importance | STAP_A); // §5.7: F is the OR, NRI the maximum
  return payload;
};
