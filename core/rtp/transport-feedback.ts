/** Transport-wide congestion control feedback, read: draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1. */

export interface TransportFeedback {
  readonly type: 'twcc';
  readonly sender: number;
  readonly media: number;
  readonly feedbackCount: number;
  readonly baseSequence: number;
  /** One per packet from `baseSequence` on: arrival in µs on the receiver's clock, null = not received. */
  readonly arrivals: readonly (number | null)[];
}

export const TICK_MICROS = 250;
export const REFERENCE_MICROS = 64_000;

/** A feedback packet without its padding; null when it is malformed. */
export const parseTransportFeedback = (bytes: Buffer): TransportFeedback | null => {
  if (bytes.length < 22) return null;
  const statusCount = bytes.readUInt16BE(14);
  const symbols: number[] = [];
  let offset = 20;
  while (symbols.length < statusCount) {
    if (offset + 2 > bytes.length) return null;
    pushSymbols(bytes.readUInt16BE(offset), statusCount, symbols);
    offset += 2;
  }
  let time = bytes.readIntBE(16, 3) * REFERENCE_MICROS;
  const arrivals: (number | null)[] = [];
  for (const symbol of symbols) {
    if (symbol === 0 || symbol === 3) { arrivals.push(null); continue; }
    const size = symbol === 1 ? 1 : 2;
    if (offset + size > bytes.length) return null;
    time += (size === 1 ? bytes.readUInt8(offset) : bytes.readInt16BE(offset)) * TICK_MICROS;
    offset += size;
    arrivals.push(time);
  }
  return {
    type: 'twcc',
    sender: bytes.readUInt32BE(4),
    media: bytes.readUInt32BE(8),
    feedbackCount: bytes.readUInt8(19),
    baseSequence: bytes.readUInt16BE(12),
    arrivals,
  };
};

/** One packet status chunk (§3.1.3, §3.1.4). */
const pushSymbols = (chunk: number, limit: number, symbols: number[]): void => {
  if ((chunk & 0x8000) === 0) {
    const symbol = (chunk >> 13) & 3;
    for (let n = chunk & 0x1fff; n > 0 && symbols.length < limit; n--) symbols.push(symbol);
    return;
  }
  const twoBits = (chunk & 0x4000) !== 0;
  for (let i = 0; i < (twoBits ? 7 : 14) && symbols.length < limit; i++) {
    symbols.push(twoBits ? (chunk >> (12 - 2 * i)) & 3 : (chunk >> (13 - i)) & 1);
  }
};
