import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import * as z from 'zod';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { BOX_CONVENTIONS, LAYOUT_IDS } from '../layouts/layout.ts';
import type { LayoutHints } from '../layouts/layout.ts';
import { IMAGENET, PLAIN } from '../preprocess.ts';
import type { Normalisation } from '../preprocess.ts';
import { MAX_BATCH } from './batch-choice.ts';
import { readOnnxMetadata } from './onnx-metadata.ts';
import { parseNames } from './python-dict.ts';

const MAX_SIDECAR_BYTES = 1 << 20;
const MAX_LABEL_LENGTH = 200;
const MAX_BATCH_DELAY_MS = 1000;

const Side = z.int().min(1).max(4096);
const Channels = z.tuple([z.number(), z.number(), z.number()]);
const Deviation = z.number().min(1e-6);

/** `{model}.json` beside the model: what its author or an operator says about it. */
export const Sidecar = z.strictObject({
  confidence: z.number().min(0).max(1).optional(),
  /** Of the input, for a model whose size is symbolic: a side, or [height, width]. */
  size: z.union([Side, z.tuple([Side, Side])]).optional(),
  /** Of a float input. */
  normalise: z.union([z.literal('imagenet'), z.strictObject({ mean: Channels, std: z.tuple([Deviation, Deviation, Deviation]) })]).optional(),
  layout: z.enum(LAYOUT_IDS).optional(),
  boxes: z.enum(BOX_CONVENTIONS).optional(),
  first_class: z.int().min(0).max(1).optional(),
  /** Of a model that takes several pictures; absent: as the configuration says (`worker`). */
  batch_max: z.int().min(1).max(MAX_BATCH).optional(),
  batch_delay_ms: z.number().min(0).max(MAX_BATCH_DELAY_MS).optional(),
});
/** Class names by class id. */
export const Labels = z.array(z.string().max(MAX_LABEL_LENGTH)).min(1).max(10_000);

/** A detection below this is not reported unless the model's sidecar or the detector says otherwise. */
const DEFAULT_CONFIDENCE = 0.35;

/** What is known about a model beside its tensors. */
export interface ModelMetadata {
  /** What helps to tell how its outputs are laid out. */
  readonly hints: LayoutHints;
  /** Null: neither the model nor a sidecar names its classes. */
  readonly labels: readonly string[] | null;
  readonly defaultConfidence: number;
  /** The sidecar's `size`, else Ultralytics' `imgsz`; for models whose input size is symbolic. */
  readonly imageSize: readonly [height: number, width: number] | null;
  /** Ultralytics' `stride`: a symbolic size is a multiple of it. */
  readonly stride: number | null;
  readonly normalisation: Normalisation;
  /** The sidecar's `batch_max` and `batch_delay_ms`. */
  readonly batchMax: number | null;
  readonly batchDelayMs: Milliseconds | null;
}

/** Parses a sidecar file; null when there is none. Throws INVALID_ARGUMENT for one that is broken. */
const readSidecar = async <T>(path: string, schema: z.ZodType<T>): Promise<T | null> => {
  let text: string;
  try {
    if ((await stat(path)).size > MAX_SIDECAR_BYTES) throw new MediaError('INVALID_ARGUMENT', `${basename(path)} is larger than 1 MiB`);
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new MediaError('INVALID_ARGUMENT', `${basename(path)}: ${messageOf(error)}`, { cause: error });
  }
};

/** `[480, 640]`, `640`. */
const parseImageSize = (text: string | undefined): readonly [number, number] | null => {
  const match = /^\s*(?:\[\s*(\d{1,5})\s*,\s*(\d{1,5})\s*\]|(\d{1,5}))\s*$/.exec(text ?? '');
  if (!match) return null;
  const [height, width] = [Number(match[1] ?? match[3]), Number(match[2] ?? match[3])];
  return height > 0 && width > 0 ? [height, width] : null;
};

/** Strides are 8 to 64 in practice; anything else is as good as none. */
const parseStride = (text: string | undefined): number | null => {
  const stride = /^\s*\d{1,3}\s*$/.test(text ?? '') ? Number(text) : 0;
  return stride >= 1 && stride <= 128 ? stride : null;
};

/** What lies beside a model: `{stem}.labels.json`, an array of names, and `{stem}.json`; null for what is not there. Throws INVALID_ARGUMENT for what cannot be read. */
export const readSidecars = async (stem: string): Promise<{ readonly labels: readonly string[] | null; readonly sidecar: z.output<typeof Sidecar> | null }> => {
  const [labels, sidecar] = await Promise.all([readSidecar(`${stem}.labels.json`, Labels), readSidecar(`${stem}.json`, Sidecar)]);
  return { labels, sidecar };
};

/** `props`: what the model says of itself in Ultralytics' words; what the sidecar says wins. */
export const metadataOf = (labels: readonly string[] | null, sidecar: z.output<typeof Sidecar>, props: ReadonlyMap<string, string>): ModelMetadata => {
  const { confidence = DEFAULT_CONFIDENCE, size, normalise } = sidecar;
  return {
    labels,
    defaultConfidence: confidence,
    imageSize: typeof size === 'number' ? [size, size] : (size ?? parseImageSize(props.get('imgsz'))),
    stride: parseStride(props.get('stride')),
    batchMax: sidecar.batch_max ?? null,
    batchDelayMs: sidecar.batch_delay_ms ?? null,
    normalisation: normalise === 'imagenet' ? IMAGENET : (normalise ?? PLAIN),
    hints: { classes: labels?.length ?? null, task: props.get('task') ?? null, layout: sidecar.layout ?? null, boxes: sidecar.boxes ?? null, firstClass: sidecar.first_class ?? null },
  };
};

/**
 * Reads the model's own metadata and its sidecars: `{model}.labels.json` (array of names, wins over the model's) and `{model}.json`.
 * `path`: the `.onnx` file. Throws INVALID_ARGUMENT for what cannot be read.
 */
export const readModelMetadata = async (path: string, model: Uint8Array): Promise<ModelMetadata> => {
  const { labels, sidecar } = await readSidecars(path.replace(/\.onnx$/, ''));
  const props = readOnnxMetadata(model);
  const names = props.get('names');
  const known = labels ?? (names === undefined ? null : parseNames(names)?.map((label) => label.slice(0, MAX_LABEL_LENGTH)) ?? null);
  return metadataOf(known, sidecar ?? {}, props);
};

/** Exactly `count` labels: those known, else COCO's for a detector of 80 classes, else `class N`. `cocoFolder` holds `coco80.labels.json`; null: no detector. */
export const labelsFor = async (labels: readonly string[] | null, count: number, cocoFolder: string | null): Promise<readonly string[]> => {
  const known = labels ?? (count === 80 && cocoFolder !== null ? await readSidecar(join(cocoFolder, 'coco80.labels.json'), Labels) : null) ?? [];
  return Array.from({ length: count }, (_, id) => known[id] ?? `class ${id}`);
};
