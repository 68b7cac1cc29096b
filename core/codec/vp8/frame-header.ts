/** VP8 frame header, RFC 6386 §9.1. */

/** The frame is a key frame: bit 0 of the frame tag is 0. */
export const isVp8Keyframe = (frame: Uint8Array): boolean => frame.length > 0 && ((frame[0] ?? 1) & 1) === 0;

/** Picture size of a key frame in pixels; null for any other frame and for a broken header. */
export const vp8KeyframeSize = (frame: Uint8Array): { readonly width: number; readonly height: number } | null => {
  if (!isVp8Keyframe(frame) || frame.length < 10) return null;
  if (frame[3] !== 0x9d || frame[4] !== 0x01 || frame[5] !== 0x2a) return null; // start code
  const width = ((frame[6] ?? 0) | ((frame[7] ?? 0) << 8)) & 0x3fff; // the two upper bits are a scaling hint
  const height = ((frame[8] ?? 0) | ((frame[9] ?? 0) << 8)) & 0x3fff;
  return width > 0 && height > 0 ? { width, height } : null;
};
