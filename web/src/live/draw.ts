import { colourOf, labelOf } from './box-label.ts';
import type { BoxMessage } from './boxes.ts';

export interface DrawStyle {
  /** `exact` full strength, `held` dashed, `late` dimmed. */
  readonly how: 'exact' | 'held' | 'late';
}

/** Boxes, in pixels of a picture of this size. */
export type DrawnBoxes = Pick<BoxMessage, 'width' | 'height' | 'detections'>;

/** Draws the boxes over the picture; the canvas covers the video's element, which letterboxes the picture (`object-fit: contain`). */
export const drawBoxes = (canvas: HTMLCanvasElement, video: HTMLVideoElement, messages: readonly DrawnBoxes[], style: DrawStyle): void => {
  drawPictureBoxes(canvas, { width: video.videoWidth, height: video.videoHeight }, messages, style);
};

/** The same over a picture of any kind. */
export const drawPictureBoxes = (canvas: HTMLCanvasElement, picture: { readonly width: number; readonly height: number }, messages: readonly DrawnBoxes[], style: DrawStyle): void => {
  const ratio = devicePixelRatio;
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext('2d');
  if (!context) return;
  context.clearRect(0, 0, width, height);
  if (picture.width === 0 || messages.length === 0) return;
  const scale = Math.min(width / picture.width, height / picture.height);
  const left = (width - picture.width * scale) / 2;
  const top = (height - picture.height * scale) / 2;
  const small = canvas.clientWidth < 420;
  const fontSize = Math.round((small ? 10 : 13) * ratio);
  context.font = `600 ${fontSize}px system-ui, sans-serif`;
  context.textBaseline = 'top';
  context.lineWidth = Math.max(1.5, 2 * ratio);
  context.setLineDash(style.how === 'held' ? [6 * ratio, 4 * ratio] : []);
  for (const message of messages) {
    const sx = (picture.width / message.width) * scale;
    const sy = (picture.height / message.height) * scale;
    for (const detection of message.detections) {
      const colour = colourOf(detection);
      const x = left + detection.bbox.x * sx;
      const y = top + detection.bbox.y * sy;
      context.globalAlpha = style.how === 'late' ? 0.45 : style.how === 'held' ? 0.8 : 1;
      context.strokeStyle = colour;
      context.strokeRect(x, y, detection.bbox.width * sx, detection.bbox.height * sy);
      const label = labelOf(detection, small);
      const textWidth = context.measureText(label).width + 8 * ratio;
      const labelTop = Math.max(top, y - fontSize - 6 * ratio);
      const labelLeft = Math.max(left, Math.min(x - context.lineWidth / 2, width - left - textWidth));
      context.fillStyle = colour;
      context.fillRect(labelLeft, labelTop, textWidth, fontSize + 6 * ratio);
      context.fillStyle = '#0b0f14';
      context.fillText(label, labelLeft + 4 * ratio, labelTop + 3 * ratio);
    }
  }
  context.globalAlpha = 1;
};
