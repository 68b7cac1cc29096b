import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { MediaError, messageOf } from '../../core/errors.ts';
import { readOnnxMetadata } from './onnx-metadata.ts';
import { parseNames } from './python-dict.ts';

const MAX_SIDECAR_BYTES = 1 << 20;
const MAX_LABEL_LENGTH = 200;

/** `{model}.json` beside the model: what its author or an operator says about it. */
const Sidecar = z.strictObject({
  confidence: z.number().min(0).max(1).optional(),
});
const Labels = z.array(z.string().max(MAX_LABEL_LENGTH)).min(1).max(10_000);

/** A detection below this is not reported unless the model's sidecar or the detector says otherwise. */
const DEFAULT_CONFIDENCE = 0.35;

/** What is known about a model beside its tensors. */
export interface ModelMetadata {
  /** Null: neither the model nor a sidecar names its classes. */
  readonly labels: readonly string[] | null;
  readonly defaultConfidence: number;
  /** Ultralytics' `imgsz`: [height, width], for models whose input size is symbolic. */
  readonly imageSize: readonly [height: number, width: number] | null;
}

/** Parses a sidecar file; null when there is none. Throws INVALID_ARGUMENT for one that is broken. */
const readSidecar = async <T>(path: string, schema: z.ZodType<T>): Promise<T | null> => {
  let text: string;
  try {
    if ((await stat(path)).size > MAX_SIDECAR_BYTES) throw new MediaError('INVALID_ARGUMENT', `${path} is larger than 1 MiB`);
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new MediaError('INVALID_ARGUMENT', `${path}: ${messageOf(error)}`, { cause: error });
  }
};

const parseImageSize = (text: string | undefined): readonly [number, number] | null => {
  const match = /^\s*\[\s*(\d{1,5})\s*,\s*(\d{1,5})\s*\]\s*$/.exec(text ?? '');
  return match ? [Number(match[1]), Number(match[2])] : null;
};

/**
 * Reads the model's own metadata and its sidecars: `{model}.labels.json` (array of names, wins over the model's) and `{model}.json`.
 * `path`: the `.onnx` file. Throws INVALID_ARGUMENT for what cannot be read.
 */
export const readModelMetadata = async (path: string, model: Uint8Array): Promise<ModelMetadata> => {
  const stem = path.replace(/\.onnx$/, '');
  const [labels, sidecar] = await Promise.all([readSidecar(`${stem}.labels.json`, Labels), readSidecar(`${stem}.json`, Sidecar)]);
  const props = readOnnxMetadata(model);
  const names = props.get('names');
  return {
    labels: labels ?? (names === undefined ? null : parseNames(names)?.map((label) => label.slice(0, MAX_LABEL_LENGTH)) ?? null),
    defaultConfidence: sidecar?.confidence ?? DEFAULT_CONFIDENCE,
    imageSize: parseImageSize(props.get('imgsz')),
  };
};

/** Exactly `count` labels: those known, else COCO's for 80 classes, else `class N`. `cocoFolder` holds `coco80.labels.json`. */
export const labelsFor = async (metadata: ModelMetadata, count: number, cocoFolder: string): Promise<readonly string[]> => {
  const known = metadata.labels ?? (count === 80 ? await readSidecar(join(cocoFolder, 'coco80.labels.json'), Labels) : null) ?? [];
  return Array.from({ length: count }, (_, id) => known[id] ?? `class ${id}`);
};

