import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../core/clock.ts';
import type { Detection } from '../../core/detection.ts';
import { Decoder } from '../../extractor/child/decoder.ts';
import { Scaler } from '../../extractor/child/scaler.ts';
import { OnnxModel } from '../../inference/models/onnx-session.ts';
import { readClip } from '../integration/clip.ts';

const MODELS = join(import.meta.dirname, '..', '..', 'models');

/** What a bundled model says of every picture of a clip, in order of presentation: everything of at least `confidence`, 0..1. */
export const detectClip = async (clipPath: string, modelName: string, confidence: number): Promise<readonly (readonly Detection[])[]> => {
  const clip = await readClip(clipPath);
  const path = join(MODELS, `${modelName}.onnx`);
  const bytes = readFileSync(path);
  using model = await OnnxModel.load({ name: modelName, path, bytes, digest: hash('sha256', bytes), threads: 0, bundledFolder: MODELS, clock: systemClock });
  const { sps, pps } = clip.tracks.video;
  using decoder = new Decoder({ codec: 'h264', sps: Buffer.from(sps).toString('base64'), pps: Buffer.from(pps).toString('base64') });
  using scaler = new Scaler(model.info.inputWidth, model.info.inputHeight);
  const found: (readonly Detection[])[] = [];
  for (const [i, unit] of clip.units.entries()) {
    const pictures: { readonly pixels: Uint8Array; readonly sourceWidth: number; readonly sourceHeight: number }[] = [];
    decoder.decode(Buffer.from(unit.data), i, unit.randomAccess, (frame) => {
      for (using lease of scaler.scale(frame, 1)) pictures.push({ pixels: Uint8Array.from(lease.bytes), sourceWidth: frame.width, sourceHeight: frame.height });
    });
    for (const picture of pictures) found.push((await model.infer({ ...picture, confidence })).detections);
  }
  return found;
};
