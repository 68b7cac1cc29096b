import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import type { BatchChoice, ModelInfo, ProviderChoice } from '../port.ts';
import { oneByOne } from './batch-choice.ts';
import type { LoadedModel, LoadOptions } from './loaded-model.ts';
import { scanModels } from './model-files.ts';
import type { ModelFile } from './model-files.ts';

export interface ModelRegistryOptions {
  /** The product's own models, and `coco80.labels.json`. */
  readonly bundledFolder: string;
  /** The operator's: `inference.models_dir`. A file here hides a bundled one of the same name. */
  readonly modelsFolder: string;
  readonly threads: number;
  /** Pictures put together in one run at most, and how long one may wait for others, where a model's sidecar does not say. */
  readonly batchMax: number;
  readonly batchDelayMs: Milliseconds;
  readonly maxModelBytes: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** By `backend`. */
  readonly load: Readonly<Record<ModelInfo['backend'], (options: LoadOptions) => Promise<LoadedModel>>>;
  /** Loads a file that others put there in a process that may crash, and finds how many pictures to run together; rejects with why it cannot be used. */
  readonly probe: (file: ModelFile) => Promise<BatchChoice>;
  readonly providers: ModelProviders;
}

/** `batch`: how many pictures of the model run together there; undefined on the CPU. */
export type ChosenProvider = ProviderChoice & { readonly batch: BatchChoice | undefined };

/** What ONNX files run on. */
export interface ModelProviders {
  /** What they begin with, and stay with where there is no `choose`: the CPU. */
  readonly first: ProviderChoice;
  /** Tries others with a model that answers already; null: it was not finished. Never rejects. Null: there are none. */
  readonly choose: ((file: ModelFile) => Promise<ChosenProvider | null>) | null;
}

/** A new file is a model at most two scans after its last byte was written (contract 0.2: within 10 s). */
export const SCAN_PERIOD_MS = 2000;
/** Of a file that only names a server. */
const MAX_DESCRIPTOR_BYTES = 1 << 20;
/** Characters of a reason that are kept. */
const MAX_FAILURE = 1000;

interface Entry {
  file: ModelFile;
  model: LoadedModel | null;
  info: ModelInfo;
}

/**
 * The worker's models: what lies in two folders, each failure kept with its reason. Files are loaded one after the other; models of
 * servers beside them, since a server may keep one waiting, and again at every scan while they cannot be used.
 */
export class ModelRegistry implements Disposable {
  readonly #options: ModelRegistryOptions;
  readonly #entries = new Map<string, Entry>();
  /** Versions the last scan saw: a file is loaded when two scans agree, so that one being copied is left alone. */
  #seen = new Map<string, string>();
  #listeners: readonly (() => void)[] = [];
  #timer: Disposable | undefined;
  #scanning: Promise<void> | null = null;
  /** Trials of providers, one after the other. */
  #trials: Promise<void>;
  readonly #started = Promise.withResolvers<undefined>();
  /** Names whose server is being asked. */
  readonly #asking = new Set<string>();
  #disposed = false;

  constructor(options: ModelRegistryOptions) {
    this.#options = options;
    this.#trials = this.#started.promise;
  }

  /** Loads `first` before all others, then the rest, then watches the folders. Resolves when all files found were tried; never rejects for a bad file. */
  async start(first: string): Promise<void> {
    const asked = await this.#scanOnce({ first, settled: true });
    this.#started.resolve(undefined);
    this.#timer = this.#options.clock.every(SCAN_PERIOD_MS, () => { void this.scan(); });
    await Promise.all(asked);
  }

  /** Looks at the folders once; a scan still running is joined. Does not wait for servers. */
  scan(): Promise<void> {
    this.#scanning ??= this.#scanOnce({ first: '', settled: false })
      .then(() => undefined)
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

  /** What it gives are the servers' models that are still being tried. */
  async #scanOnce(how: { readonly first: string; readonly settled: boolean }): Promise<readonly Promise<void>[]> {
    const { bundledFolder, modelsFolder } = this.#options;
    const files = new Map<string, ModelFile>();
    for (const file of [...await scanModels(bundledFolder, true), ...await scanModels(modelsFolder, false)]) files.set(file.name, file);
    const previous = this.#seen;
    this.#seen = new Map([...files.values()].map((file) => [file.path, file.version]));

    for (const name of this.#entries.keys()) if (!files.has(name)) this.#remove(name);
    const order = [...files.values()].toSorted((a, b) => Number(b.name === how.first) - Number(a.name === how.first));
    const asked: Promise<void>[] = [];
    for (const file of order) {
      if (this.#disposed) break;
      if (this.#asking.has(file.name)) continue;
      const entry = this.#entries.get(file.name);
      const known = entry?.file.path === file.path && entry.file.version === file.version;
      // What is wrong with a file stays wrong; a server may come back.
      if (known && (file.backend === 'onnx' || entry.info.failure === null)) continue;
      if (!known && !how.settled && previous.get(file.path) !== file.version) continue;
      if (file.backend === 'onnx') await this.#take(file);
      else asked.push(this.#ask(file));
    }
    return asked;
  }

  async #ask(file: ModelFile): Promise<void> {
    this.#asking.add(file.name);
    await this.#take(file);
    this.#asking.delete(file.name);
  }

  /** Loads `file` in the place of what has its name; that goes on answering until the new one is warm, and stays when it fails. */
  async #take(file: ModelFile): Promise<void> {
    const { logger, providers: { choose } } = this.#options;
    if (!this.#entries.has(file.name)) this.#set({ file, model: null, info: describe(file, 'loading', null) });
    let model: LoadedModel | null = null;
    let failure: string | null = null;
    try {
      model = await this.#load(file);
    } catch (error) {
      failure = messageOf(error).slice(0, MAX_FAILURE);
    }
    const before = this.#entries.get(file.name);
    if (this.#disposed || !before) { // the file was taken away meanwhile
      model?.[Symbol.dispose]();
    } else if (model) {
      const taken = model;
      this.#set({ file, model, info: model.info });
      before.model?.[Symbol.dispose]();
      void model.lost?.then((reason) => { this.#lose(file.name, taken, reason); });
      if (file.backend === 'onnx' && choose) this.#trials = this.#trials.then(() => this.#tryProviders(file, taken, choose));
      logger.info({ model: file.name, digest: model.info.digest, classes: model.info.labels.length, batch: model.info.batch.pictures, batchReason: model.info.batch.why, provider: model.info.provider?.name, providerReason: model.info.provider?.why }, 'model ready');
    } else if (before.info.failure !== failure) {
      this.#set(before.model ? { file, model: before.model, info: { ...before.info, failure } } : { file, model: null, info: describe(file, 'failed', failure) });
      logger.error({ model: file.name, path: file.path, failure, previousKept: before.model !== null }, 'model refused');
    } else {
      before.file = file; // tried again, and the same is wrong
    }
  }

  /** `model` can be asked no more; the next scan tries its file again. */
  #lose(name: string, model: LoadedModel, reason: string): void {
    const entry = this.#entries.get(name);
    if (entry?.model !== model) return; // another has its place
    this.#set({ file: entry.file, model: null, info: describe(entry.file, 'failed', reason.slice(0, MAX_FAILURE)) });
    model[Symbol.dispose]();
    this.#options.logger.error({ model: name, failure: reason }, 'model lost');
  }

  /** Finds what `model`, which answers on the CPU, is to run on, and has it take its own place there. Never rejects. */
  async #tryProviders(file: ModelFile, model: LoadedModel, choose: NonNullable<ModelProviders['choose']>): Promise<void> {
    const { logger } = this.#options;
    const current = (): Entry | null => {
      const entry = this.#entries.get(file.name);
      return entry?.model === model && entry.file.version === file.version ? entry : null;
    };
    if (!current()) return;
    const found = await choose(file);
    if (!found || !current()) return;
    const { batch, ...chosen } = found;
    let provider: ProviderChoice = chosen;
    if (chosen.name !== 'cpu') {
      try {
        const moved = await this.#load(file, { provider, measured: batch });
        const entry = current();
        if (entry && moved.info.digest === model.info.digest) {
          this.#set({ ...entry, model: moved, info: moved.info });
          model[Symbol.dispose]();
          void moved.fellBack?.then((onCpu) => { this.#fallBack(file.name, moved, onCpu); });
          logger.info({ model: file.name, provider: chosen.name, providerReason: chosen.why }, 'model moved to another execution provider');
        } else {
          moved[Symbol.dispose](); // another file has come: the next scan sees it
        }
        return;
      } catch (error) {
        provider = { name: 'cpu', why: `${chosen.name} passed its trial and failed: ${messageOf(error)}`.slice(0, MAX_FAILURE) };
        logger.error({ model: file.name, provider: chosen.name, failure: messageOf(error) }, 'model cannot be moved to the execution provider that was chosen; it stays on the CPU');
      }
    }
    const entry = current();
    if (!entry) return;
    this.#set({ ...entry, info: { ...entry.info, provider } });
    logger.info({ model: file.name, provider: provider.name, providerReason: provider.why }, 'model stays on the CPU');
  }

  /** What `model` ran on failed; it went over to the CPU by itself. */
  #fallBack(name: string, model: LoadedModel, provider: ProviderChoice): void {
    const entry = this.#entries.get(name);
    if (entry?.model !== model) return; // another has its place
    const why = provider.why.slice(0, MAX_FAILURE);
    this.#set({ ...entry, info: { ...model.info, provider: { ...provider, why } } });
    this.#options.logger.error({ model: name, reason: why }, 'model goes on with the CPU until its file changes or the worker is started again');
  }

  async #load(file: ModelFile, moved?: Pick<LoadOptions, 'provider'> & { readonly measured: BatchChoice | undefined }): Promise<LoadedModel> {
    const { maxModelBytes, threads, batchMax, batchDelayMs, clock, bundledFolder, load, probe, providers } = this.#options;
    const [most, why] = file.backend === 'onnx' ? [maxModelBytes, 'inference.max_model_bytes'] : [MAX_DESCRIPTOR_BYTES, 'it only names a server'];
    const tooLarge = (bytes: number): MediaError => new MediaError('PAYLOAD_TOO_LARGE', `${bytes} bytes; at most ${most} are taken (${why})`);
    if (file.bytes > most) throw tooLarge(file.bytes);
    const measured = moved ? moved.measured : !file.bundled && file.backend === 'onnx' ? await probe(file) : undefined;
    const bytes = await readFile(file.path);
    if (bytes.length > most) throw tooLarge(bytes.length);
    const digest = createHash('sha256').update(bytes).digest('hex');
    return load[file.backend]({ name: file.name, path: file.path, bytes, digest, threads, batchMax, batchDelayMs, bundledFolder, clock, provider: moved?.provider ?? providers.first, ...(measured === undefined ? {} : { measured }) });
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
  name: file.name, backend: file.backend, digest: '', inputWidth: 0, inputHeight: 0, inputLayout: 'u8-nhwc', labels: [], defaultConfidence: 0, batch: oneByOne(''), provider: null, state, failure,
});
