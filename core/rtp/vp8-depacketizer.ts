/** VP8 over RTP, RFC 7741. */
import { isVp8Keyframe, vp8KeyframeSize } from '../codec/vp8/frame-header.ts';
import type { RtpTimestamp } from '../units.ts';
import type { DepacketizedUnit, Depacketizer, RtpPacket } from './port.ts';

const MAX_UNIT_BYTES = 16 << 20;

/** Length of the payload descriptor (§4.2); −1 when it is cut off. */
const descriptorBytes = (payload: Buffer): number => {
  let length = 1;
  if (payload.readUInt8(0) & 0x80) {
    const extension = payload[1];
    if (extension === undefined) return -1;
    length = 2;
    if (extension & 0x80) length += ((payload[2] ?? 0) & 0x80) !== 0 ? 2 : 1; // PictureID, 7 or 15 bits
    if (extension & 0x40) length++; // TL0PICIDX
    if (extension & 0x30) length++; // TID, KEYIDX
  }
  return length < payload.length ? length : -1;
};

export class Vp8Depacketizer implements Depacketizer {
  #droppedUnits = 0;
  #timestamp: RtpTimestamp | null = null;
  #parts: Buffer[] = [];
  #bytes = 0;
  #damaged = false;

  get droppedUnits(): number {
    return this.#droppedUnits;
  }

  push(packet: RtpPacket, out: DepacketizedUnit[]): void {
    if (this.#timestamp !== null && packet.timestamp !== this.#timestamp) this.#finish(out);
    const { payload } = packet;
    if (payload.length === 0) return; // padding only: bandwidth probes of a browser
    this.#timestamp = packet.timestamp;
    const skip = descriptorBytes(payload);
    const first = (payload.readUInt8(0) & 0x17) === 0x10; // S = 1, PID = 0: the frame begins here
    if (skip < 0 || first !== (this.#parts.length === 0)) {
      // S may also begin a later partition: only PID 0 begins the frame. A beginning in mid-frame, or none, is damage.
      this.#damaged = true;
    }
    if (skip >= 0) {
      const body = payload.subarray(skip);
      this.#parts.push(body);
      this.#bytes += body.length;
      if (this.#bytes > MAX_UNIT_BYTES) this.#damaged = true;
    }
    if (this.#damaged) this.#parts = this.#parts.slice(0, 1);
    if (packet.marker) this.#finish(out);
  }

  lost(): void {
    if (this.#parts.length > 0) this.#damaged = true;
  }

  #finish(out: DepacketizedUnit[]): void {
    const [first] = this.#parts;
    if (this.#damaged) this.#droppedUnits++;
    else if (first && this.#timestamp !== null) {
      const data = Buffer.concat(this.#parts, this.#bytes);
      out.push({ timestamp: this.#timestamp, data, randomAccess: isVp8Keyframe(data), sps: null, pps: null, size: vp8KeyframeSize(data) });
    }
    this.#timestamp = null;
    this.#parts = [];
    this.#bytes = 0;
    this.#damaged = false;
  }
}
