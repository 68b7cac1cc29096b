import { MediaError } from '../../core/errors.ts';

const START_CODE = Buffer.from([0, 0, 0, 1]);

/** Whether a NAL unit, by its first byte, is a sequence parameter set (ITU-T H.264 table 7-1, H.265 table 7-1). */
const IS_SPS = {
  h264: (first: number): boolean => (first & 0x1f) === 7,
  h265: (first: number): boolean => ((first >> 1) & 0x3f) === 33,
} as const;

/** Codecs whose access units are NAL units. */
export type NalCodec = keyof typeof IS_SPS;

/**
 * Turns an access unit of length-prefixed NAL units into Annex B (ITU-T H.264 Annex B, the same in H.265) *in place*: a 4-byte length and a 4-byte start
 * code take the same room. Returns whether it carries a sequence parameter set. Throws INVALID_ARGUMENT when the lengths do not add up.
 */
export const toAnnexB = (unit: Buffer, codec: NalCodec): { readonly hasParameterSets: boolean } => {
  const isSps = IS_SPS[codec];
  let hasParameterSets = false;
  let at = 0;
  while (at < unit.length) {
    if (unit.length - at < 4) throw new MediaError('INVALID_ARGUMENT', 'access unit ends inside a length');
    const length = unit.readUInt32BE(at);
    if (length === 0 || length > unit.length - at - 4) throw new MediaError('INVALID_ARGUMENT', 'NAL unit longer than its access unit');
    START_CODE.copy(unit, at);
    if (isSps(unit.readUInt8(at + 4))) hasParameterSets = true;
    at += 4 + length;
  }
  return { hasParameterSets };
};

/** Parameter sets in base64, each behind a start code: to go before a random access unit that carries none. */
export const parameterSets = (...sets: readonly string[]): Buffer => Buffer.concat(sets.flatMap((set) => [START_CODE, Buffer.from(set, 'base64')]));
