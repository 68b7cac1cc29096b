/** Sequence parameter set, ITU-T H.264 (08/2021) §7.3.2.1.1, and its VUI, Annex E. */
import { BitReader } from '../../bits/bit-reader.ts';
import { removeEmulationPrevention } from '../../bits/emulation-prevention.ts';
import { MediaError } from '../../errors.ts';
import { maxDpbFrames } from './level.ts';
import { NalType, nalType } from './nal.ts';
import { readReorderFrames } from './vui.ts';

export interface SpsInfo {
  /** Pixels after cropping. */
  readonly width: number;
  readonly height: number;
  /** profile_idc, the constraint_set flags byte, level_idc: the three bytes of `profile-level-id` and `avc1.PPCCLL`. */
  readonly profile: number;
  readonly constraints: number;
  readonly level: number;
  readonly id: number;
  readonly chromaFormat: number;
  readonly bitDepthLuma: number;
  readonly bitDepthChroma: number;
  /**
   * Pictures that may precede a picture in decoding order and follow it in output order. From the VUI when it says so; else 0 where
   * reordering cannot be (Baseline, POC type 2, intra profiles, at most one reference picture); else the smaller of the level's
   * DPB size (A.3.1) and `max_num_ref_frames − 1`, the depth an encoder with that many references can use: the inference of E.2.1
   * (the whole DPB, 16 pictures for a small camera) would delay every decode time by half a second for nothing.
   */
  readonly maxNumReorderFrames: number;
  /** False when `maxNumReorderFrames` is our assumption: a look at the slice types (`isBSlice`) may tell better. */
  readonly reorderKnown: boolean;
}

/** Profiles whose SPS carries chroma format and bit depths. */
const HIGH_PROFILES = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);
/** High 10 Intra, High 4:2:2 Intra, High 4:4:4 Intra and CAVLC 4:4:4 are these profiles with constraint_set3 (E.2.1). */
const INTRA_WITH_SET3 = new Set([44, 86, 100, 110, 122, 244]);
/** Pixels per side: far above what any level allows, far below what would overflow. */
const MAX_SIDE = 16_384;

/** Parses an SPS NAL unit (without start code). Throws INVALID_ARGUMENT for anything else. */
export const parseSps = (nal: Uint8Array): SpsInfo => {
  if (nalType(nal) !== NalType.sps || nal.length < 4) throw new MediaError('INVALID_ARGUMENT', 'not a sequence parameter set');
  const reader = new BitReader(removeEmulationPrevention(nal.subarray(1)));
  const profile = reader.bits(8);
  const constraints = reader.bits(8);
  const level = reader.bits(8);
  const id = reader.ue();
  if (id > 31) throw new MediaError('INVALID_ARGUMENT', 'seq_parameter_set_id above 31');
  const { chromaFormat, separatePlanes, bitDepthLuma, bitDepthChroma } = readChroma(reader, profile);
  reader.ue(); // log2_max_frame_num_minus4
  const pocType = readPicOrderCount(reader);
  const maxNumRefFrames = reader.ue();
  reader.flag(); // gaps_in_frame_num_value_allowed_flag
  const widthInMbs = reader.ue() + 1;
  const heightInMapUnits = reader.ue() + 1;
  const frameMbsOnly = reader.flag();
  if (!frameMbsOnly) reader.flag(); // mb_adaptive_frame_field_flag
  reader.flag(); // direct_8x8_inference_flag
  const heightInMbs = heightInMapUnits * (frameMbsOnly ? 1 : 2);
  if (widthInMbs * 16 > MAX_SIDE || heightInMbs * 16 > MAX_SIDE) throw new MediaError('INVALID_ARGUMENT', 'picture size is out of range');

  const crop = readCropping(reader, separatePlanes ? 0 : chromaFormat, frameMbsOnly);
  const width = widthInMbs * 16 - crop.x;
  const height = heightInMbs * 16 - crop.y;
  if (width < 1 || height < 1) throw new MediaError('INVALID_ARGUMENT', 'cropping leaves no picture');

  const stated = readReorderFrames(reader);
  const never =
    profile === 66 || pocType === 2 || maxNumRefFrames <= 1 || (INTRA_WITH_SET3.has(profile) && (constraints & 0x10) !== 0);
  const dpb = maxDpbFrames(profile, constraints, level, widthInMbs * heightInMbs);
  const assumed = never ? 0 : Math.min(dpb, maxNumRefFrames - 1);
  return {
    width, height, profile, constraints, level, id, chromaFormat, bitDepthLuma, bitDepthChroma,
    maxNumReorderFrames: stated ?? assumed,
    reorderKnown: stated !== null || never,
  };
};

const readChroma = (reader: BitReader, profile: number) => {
  if (!HIGH_PROFILES.has(profile)) return { chromaFormat: 1, separatePlanes: false, bitDepthLuma: 8, bitDepthChroma: 8 };
  const chromaFormat = reader.ue();
  if (chromaFormat > 3) throw new MediaError('INVALID_ARGUMENT', 'chroma_format_idc above 3');
  const separatePlanes = chromaFormat === 3 && reader.flag();
  const bitDepthLuma = 8 + reader.ue();
  const bitDepthChroma = 8 + reader.ue();
  if (bitDepthLuma > 14 || bitDepthChroma > 14) throw new MediaError('INVALID_ARGUMENT', 'bit depth above 14');
  reader.flag(); // qpprime_y_zero_transform_bypass_flag
  if (reader.flag()) {
    const lists = chromaFormat === 3 ? 12 : 8;
    for (let i = 0; i < lists; i++) if (reader.flag()) skipScalingList(reader, i < 6 ? 16 : 64);
  }
  return { chromaFormat, separatePlanes, bitDepthLuma, bitDepthChroma };
};

/** §7.3.2.1.1.1 */
const skipScalingList = (reader: BitReader, size: number): void => {
  let last = 8;
  let next = 8;
  for (let i = 0; i < size; i++) {
    if (next !== 0) next = (last + reader.se() + 256) % 256;
    if (next !== 0) last = next;
  }
};

const readPicOrderCount = (reader: BitReader): number => {
  const type = reader.ue();
  if (type > 2) throw new MediaError('INVALID_ARGUMENT', 'pic_order_cnt_type above 2');
  if (type === 0) reader.ue(); // log2_max_pic_order_cnt_lsb_minus4
  if (type === 1) {
    reader.flag(); // delta_pic_order_always_zero_flag
    reader.se(); // offset_for_non_ref_pic
    reader.se(); // offset_for_top_to_bottom_field
    const cycle = reader.ue();
    if (cycle > 255) throw new MediaError('INVALID_ARGUMENT', 'num_ref_frames_in_pic_order_cnt_cycle above 255');
    for (let i = 0; i < cycle; i++) reader.se();
  }
  return type;
};

/** Total pixels cut off horizontally and vertically (§7.4.2.1.1, equations 7-19 to 7-22). */
const readCropping = (reader: BitReader, chromaArrayType: number, frameMbsOnly: boolean): { x: number; y: number } => {
  if (!reader.flag()) return { x: 0, y: 0 };
  const horizontal = reader.ue() + reader.ue();
  const vertical = reader.ue() + reader.ue();
  const unitX = chromaArrayType === 1 || chromaArrayType === 2 ? 2 : 1;
  const unitY = (chromaArrayType === 1 ? 2 : 1) * (frameMbsOnly ? 1 : 2);
  return { x: horizontal * unitX, y: vertical * unitY };
};
