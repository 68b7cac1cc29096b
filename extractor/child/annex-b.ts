import { MediaError } from '../../core/errors.ts';

const START_CODE = Buffer.from([0, 0, 0, 1]);
const NAL_SPS = 7;
const NAL_TYPE_MASK = 0x1f;

/**
 * Turns an access unit of length-prefixed NAL units into Annex B (ITU-T H.264 Annex B) *in place*: a 4-byte length and a 4-byte start
 * code take the same room. Returns whether it carries a sequence parameter set. Throws INVALID_ARGUMENT when the lengths do not add up.
 */
export const toAnnexB = (unit: Buffer): { readonly hasParameterSets: boolean } => {
  let hasParameterSets = false;
  let at = 0;
  while (at < unit.length) {
    if (unit.length - at < 4) throw new MediaError('INVALID_ARGUMENT', 'access unit ends inside a length');
    const length = unit.readUInt32BE(at);
    if (length === 0 || length > unit.length - at - 4) throw new MediaError('INVALID_ARGUMENT', 'NAL unit longer than its access unit');
    START_CODE.copy(unit, at);
    if ((unit.readUInt8(at + 4) & NAL_TYPE_MASK) === NAL_SPS) hasParameterSets = true;
    at += 4 + length;
  }
  return { hasParameterSets };
};

/** SPS and PPS, each behind a start code: to go before a random access unit that carries none. */
export const parameterSets = (sps: Uint8Array, pps: Uint8Array): Buffer => Buffer.concat([START_CODE, sps, START_CODE, pps]);
