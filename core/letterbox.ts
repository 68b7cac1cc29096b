/** How a picture lies inside a detector's square input: scaled with its aspect kept, centred, the rest filled with 114. */
export interface Letterbox {
  readonly inputWidth: number;
  readonly inputHeight: number;
  readonly sourceWidth: number;
  readonly sourceHeight: number;
  /** The picture's place in the input, whole pixels. */
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The grey that detectors were trained to see beside the picture. */
export const LETTERBOX_PAD = 114;

/** All sizes in pixels, ≥ 1. The picture gets at least one pixel each way, whatever its aspect. */
export const letterbox = (sourceWidth: number, sourceHeight: number, inputWidth: number, inputHeight: number): Letterbox => {
  const scale = Math.min(inputWidth / sourceWidth, inputHeight / sourceHeight);
  const width = Math.min(inputWidth, Math.max(1, Math.round(sourceWidth * scale)));
  const height = Math.min(inputHeight, Math.max(1, Math.round(sourceHeight * scale)));
  return { inputWidth, inputHeight, sourceWidth, sourceHeight, left: Math.floor((inputWidth - width) / 2), top: Math.floor((inputHeight - height) / 2), width, height };
};
