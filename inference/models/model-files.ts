import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MODEL_FILE } from '../port.ts';
import type { ModelInfo } from '../port.ts';

/** A model file as a scan saw it. */
export interface ModelFile {
  readonly name: string;
  readonly path: string;
  readonly backend: ModelInfo['backend'];
  readonly bytes: number;
  /** Changes when the content may have, or that of its sidecars: sizes and modification times. */
  readonly version: string;
  /** Ships with the product; anything else is loaded in a process of its own first. */
  readonly bundled: boolean;
}

/** More files than this in one folder are ignored. */
const MAX_MODELS = 64;

/** The `.onnx` and `.kserve.json` files of a folder by name; a folder that is not there has none. Of one name's two files the one that names a server counts. */
export const scanModels = async (folder: string, bundled: boolean): Promise<readonly ModelFile[]> => {
  let entries: readonly string[];
  try {
    entries = await readdir(folder);
  } catch {
    return []; // not made yet, or taken away: no models, and the next scan looks again
  }
  const present = new Set(entries);
  const files: ModelFile[] = [];
  for (const entry of entries.toSorted()) {
    const [, name, kind] = MODEL_FILE.exec(entry) ?? [];
    if (name === undefined || files.length >= MAX_MODELS || (kind === 'onnx' && present.has(`${name}.kserve.json`))) continue;
    const path = join(folder, entry);
    const [found, ...sidecars] = await Promise.all([entry, `${name}.json`, `${name}.labels.json`].map((file) => stat(join(folder, file)).catch(() => null)));
    if (!found?.isFile()) continue;
    const version = [found, ...sidecars].map((file) => (file ? `${file.size}:${file.mtimeMs}` : '')).join(' ');
    files.push({ name, path, backend: kind === 'onnx' ? 'onnx' : 'kserve', bytes: found.size, version, bundled });
  }
  return files;
};
