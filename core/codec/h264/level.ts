/** MaxDpbMbs by level_idc, ITU-T H.264 Table A-1. */
const MAX_DPB_MBS: Readonly<Record<number, number>> = {
  9: 396, 10: 396, 11: 900, 12: 2_376, 13: 2_376, 20: 2_376, 21: 4_752, 22: 8_100, 30: 8_100, 31: 18_000, 32: 20_480,
  40: 32_768, 41: 32_768, 42: 34_816, 50: 110_400, 51: 184_320, 52: 184_320, 60: 696_320, 61: 696_320, 62: 696_320,
};

/** MaxDpbFrames (A.3.1 h): how many frames the decoded picture buffer of this level holds for a picture of `frameMbs` macroblocks. Unknown levels count as the highest. */
export const maxDpbFrames = (profile: number, constraints: number, level: number, frameMbs: number): number => {
  // Level 1b in Baseline, Main and Extended is level_idc 11 with constraint_set3.
  const is1b = level === 11 && (constraints & 0x10) !== 0 && (profile === 66 || profile === 77 || profile === 88);
  const macroblocks = is1b ? 396 : (MAX_DPB_MBS[level] ?? 696_320);
  return Math.min(16, Math.floor(macroblocks / frameMbs));
};
