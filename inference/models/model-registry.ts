import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Logger } from '../../platform/logging.ts';
import type { ModelInfo } from '../port.ts';
import { scanModels } from './model-files.ts';
import type { ModelFile } from './model-files.ts';
import type { LoadedModel, LoadOptions } from './onnx-session.ts';

export interface ModelRegistryOptions {
  /** The product's own models, and `coco80.labels.json`. */
  readonly bundledFolder: string;
  /** The operator's: `inference.models_dir`. A file here hides a bundled one of the same name. */
  readonly modelsFolder: string;
  readonly threads: number;
  readonly maxModelBytes: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly load: (options: LoadOptions) => Promise<LoadedModel>;
  /** Loads a file that others put there in a process that may crash; rejects with why it cannot be used. */
  readonly probe: (file: ModelFile) => Promise<void>;
}

/** A new file is a model at most two scans after its last byte was written (contract 0.2: within 10 s). */
export const SCAN_PERIOD_MS = 2000;

interface Entry {
  file: ModelFile;
  model: LoadedModel | null;
  info: ModelInfo;
}

/** The worker's models: what lies in two folders, loaded one after the other, each failure kept with its reason. */
export class ModelRegistry implements Disposable {
  readonly #options: ModelRegistryOptions;
  readonly #entries = new Map<string, Entry>();
  /** Versions the last scan saw: a file is loaded when two scans agree, so that one being copied is left alone. */
  #seen = new Map<string, string>();
  #listeners: readonly (() => void)[] = [];
  #timer: Disposable | undefined;
  #scanning: Promise<void> | null = null;
  #disposed = false;

  constructor(options: ModelRegistryOptions) {
    this.#options = options;
  }

  /** Loads `first` before all others, then the rest, then watches the folders. Resolves when all files found were tried; never rejects for a bad file. */
  async start(first: string): Promise<void> {
    await this.#scanOnce({ first, settled: true });
    this.#timer = this.#options.clock.every(SCAN_PERIOD_MS, () => { void this.scan(); });
  }

  /** Looks at the folders once; a scan still running is joined. */
  scan(): Promise<void> {
    this.#scanning ??= this.#scanOnce({ first: '', settled: false })
      .catch((error: unknown) => { this.#options.logger.error({ error: messageOf(error) }, 'model scan failed'); })
      .finally(() => { this.#scanning = null; });
    return this.#scanning;
  }

  /** A model that can be asked now, or undefined. */
  ready(name: string): LoadedModel | undefined {
    return this.#entries.get(name)?.model ?? undefined;
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  list(): readonly ModelInfo[] {
    return [...this.#entries.values()].map((entry) => entry.info);
  }

  /** Called after every change of the list. */
  onChange(listener: () => void): Disposable {
    this.#listeners = [...this.#listeners, listener];
    return { [Symbol.dispose]: () => { this.#listeners = this.#listeners.filter((other) => other !== listener); } };
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#timer?.[Symbol.dispose]();
    for (const { model } of this.#entries.values()) model?.[Symbol.dispose]();
    this.#entries.clear();
  }

  async #scanOnce(how: { readonly first: string; readonly settled: boolean }): Promise<void> {
    const { bundledFolder, modelsFolder } = this.#options;
    const files = new Map<string, ModelFile>();
    for (const file of [...await scanModels(bundledFolder, true), ...await scanModels(modelsFolder, false)]) files.set(file.name, file);
    const previous = this.#seen;
    this.#seen = new Map([...files.values()].map((file) => [file.path, file.version]));

    for (const name of this.#entries.keys()) if (!files.has(name)) this.#remove(name);
    const order = [...files.values()].toSorted((a, b) => Number(b.name === how.first) - Number(a.name === how.first));
    for (const file of order) {
      if (this.#disposed) return;
      const entry = this.#entries.get(file.name);
      if (entry?.file.path === file.path && entry.file.version === file.version) continue;
      if (how.settled || previous.get(file.path) === file.version) await this.#take(file);
    }
  }

  /** Loads `file` in the place of what has its name; that goes on answering until the new one is warm, and stays when it fails. */
  async #take(file: ModelFile): Promise<void> {
    const { logger } = this.#options;
    const before = this.#entries.get(file.name);
    if (!before) this.#set({ file, model: null, info: describe(file, 'loading', null) });
    let model: LoadedModel | null = null;
    let failure: string | null = null;
    try {
      model = await this.#load(file);
    } catch (error) {
      failure = messageOf(error).slice(0, 1000);
    }
    if (this.#disposed) {
      model?.[Symbol.dispose]();
    } else if (model) {
      this.#set({ file, model, info: model.info });
      before?.model?.[Symbol.dispose]();
      logger.info({ model: file.name, digest: model.info.digest, classes: model.info.labels.length }, 'model ready');
    } else {
      this.#set(before?.model ? { file, model: before.model, info: { ...before.model.info, failure } } : { file, model: null, info: describe(file, 'failed', failure) });
      logger.error({ model: file.name, path: file.path, failure, previousKept: before?.model !== undefined && before.model !== null }, 'model refused');
    }
  }

  async #load(file: ModelFile): Promise<LoadedModel> {
    const { maxModelBytes, threads, clock, bundledFolder, load, probe } = this.#options;
    const tooLarge = (bytes: number): MediaError => new MediaError('PAYLOAD_TOO_LARGE', `${bytes} bytes; at most ${maxModelBytes} are taken (inference.max_model_bytes)`);
    if (file.bytes > maxModelBytes) throw tooLarge(file.bytes);
    if (!file.bundled) await probe(file);
    const bytes = await readFile(file.path);
    if (bytes.length > maxModelBytes) throw tooLarge(bytes.length);
    const digest = createHash('sha256').update(bytes).digest('hex');
    return load({ name: file.name, path: file.path, bytes, digest, threads, bundledFolder, clock });
  }

  #set(entry: Entry): void {
    this.#entries.set(entry.file.name, entry);
    this.#tell();
  }

  #remove(name: string): void {
    this.#entries.get(name)?.model?.[Symbol.dispose]();
    this.#entries.delete(name);
    this.#options.logger.info({ model: name }, 'model removed');
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

const describe = (file: ModelFile, state: 'loading' | 'failed', failure: string | null): ModelInfo => ({
  name: file.name, digest: '', inputWidth: 0, inputHeight: 0, inputLayout: 'u8-nhwc', labels: [], defaultConfidence: 0, state, failure,
});
