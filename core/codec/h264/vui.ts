import type { BitReader } from '../../bits/bit-reader.ts';

const EXTENDED_SAR = 255;

/**
 * max_num_reorder_frames of the VUI parameters (ITU-T H.264 Annex E.1.1); null when they do not say.
 * The reader stands at vui_parameters_present_flag. Cameras are known to cut the VUI short: that counts as not saying.
 */
export const readReorderFrames = (reader: BitReader): number | null => {
  try {
    return readVui(reader);
  } catch {
    return null; // the SPS proper was whole; a broken VUI is no reason to refuse the camera
  }
};

const readVui = (reader: BitReader): number | null => {
  if (!reader.flag()) return null;
  if (reader.flag() && reader.bits(8) === EXTENDED_SAR) reader.skip(32);
  if (reader.flag()) reader.skip(1); // overscan
  if (reader.flag()) {
    reader.skip(4); // video_format, video_full_range_flag
    if (reader.flag()) reader.skip(24); // colour description
  }
  if (reader.flag()) { reader.ue(); reader.ue(); } // chroma sample location
  if (reader.flag()) reader.skip(65); // timing: 2 × 32 bits, fixed_frame_rate_flag
  const nalHrd = reader.flag();
  if (nalHrd) skipHrd(reader);
  const vclHrd = reader.flag();
  if (vclHrd) skipHrd(reader);
  if (nalHrd || vclHrd) reader.skip(1); // low_delay_hrd_flag
  reader.skip(1); // pic_struct_present_flag
  if (!reader.flag()) return null; // bitstream_restriction_flag
  reader.skip(1); // motion_vectors_over_pic_boundaries_flag
  for (let i = 0; i < 4; i++) reader.ue(); // max bytes, max bits, two motion vector lengths
  const reorder = reader.ue();
  const buffering = reader.ue();
  return reorder <= buffering && buffering <= 16 ? reorder : null;
};

/** E.1.2 */
const skipHrd = (reader: BitReader): void => {
  const count = Math.min(reader.ue() + 1, 32);
  reader.skip(8); // bit_rate_scale, cpb_size_scale
  for (let i = 0; i < count; i++) { reader.ue(); reader.ue(); reader.skip(1); }
  reader.skip(20);
};
