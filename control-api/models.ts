import { readdir } from 'node:fs/promises';
import type { Clock } from '../core/clock.ts';
import type { Milliseconds } from '../core/units.ts';

/** The names a camera's `pipelines[]` may use beside `detect`. */
export interface ModelCatalogue {
  names(): Promise<readonly string[]>;
}

const FRESH_MS: Milliseconds = 1000;

/** Every `.onnx` file of some folders, named as the file; folders that do not exist hold none. Read at most once a second. */
export class DirectoryModelCatalogue implements ModelCatalogue {
  readonly #directories: readonly string[];
  readonly #clock: Clock;
  #known: { readonly at: Milliseconds; readonly names: Promise<readonly string[]> } | null = null;

  constructor(directories: readonly string[], clock: Clock) {
    this.#directories = directories;
    this.#clock = clock;
  }

  names(): Promise<readonly string[]> {
    const now = this.#clock.monotonic();
    if (this.#known === null || now - this.#known.at >= FRESH_MS) this.#known = { at: now, names: this.#read() };
    return this.#known.names;
  }

  async #read(): Promise<readonly string[]> {
    const lists = await Promise.all(this.#directories.map((directory) => readdir(directory).catch(() => [])));
    return [...new Set(lists.flat().filter((file) => file.endsWith('.onnx')).map((file) => file.slice(0, -'.onnx'.length)))].sort();
  }
}
