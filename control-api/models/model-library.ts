/** The model files of `inference.models_dir`, as clients put them there, replace them and take them away (INF-3). The worker finds them by itself. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, open, readdir, rename, rm, stat } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import { MODEL_FILE } from '../../inference/port.ts';
import type { Logger } from '../../platform/logging.ts';
import { Spool } from '../../platform/spool.ts';

export interface ModelLibraryOptions {
  /** `inference.models_dir`. */
  readonly folder: string;
  /** The product's own, which nothing here changes. */
  readonly bundledFolder: string;
  readonly maxBytes: number;
  /** So much of the disk stays free. */
  readonly reserveBytes: number;
  /** Tries a file in a process of its own; rejects with why it cannot be used. */
  readonly probe: (path: string) => Promise<void>;
  /** There is another set of files. */
  readonly onChange: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface PutModel {
  readonly name: string;
  /** The digest, hex, of what is to be replaced; `*`: whatever is there; null: nothing is. */
  readonly replaces: string | null;
  /** Whose body, which nobody has read from yet, is the file. */
  readonly request: IncomingMessage;
}

export interface TakenModel {
  /** SHA-256, hex. */
  readonly digest: string;
  readonly bytes: number;
  /** Digest of what had the name before. */
  readonly replaced: string | null;
}

/** Beside the models, so that a file comes to its place by renaming; the worker does not look into folders. */
const SPOOL = '.uploads';
const SIDECARS = ['.json', '.labels.json'] as const;
/** The worker looks at no more in one folder. */
const MAX_MODELS = 64;
const MAX_AT_ONCE = 2;
/** Their files would be taken for what stands beside another model; the last is the default detector's id. */
const TAKEN_NAMES = /\.(?:labels|kserve|onnx)$|^detect$/;
const CANNOT_WRITE: ReadonlySet<unknown> = new Set(['EROFS', 'EACCES', 'EPERM']);

const digestOf = async (path: string): Promise<string> => {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
};
const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => null))?.isFile() ?? false;
/** What `path` names is on the disk after this. */
const sync = async (path: string): Promise<void> => {
  await using handle = await open(path, 'r');
  await handle.sync();
};

export class ModelLibrary {
  readonly #options: ModelLibraryOptions;
  #spool: Promise<Spool> | null = null;
  #open = 0;
  /** Of changes to the folder: one at a time. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ModelLibraryOptions) {
    this.#options = options;
  }

  /** Removes what a killed process left of uploads. Never rejects: a folder that cannot be written still has models. */
  async start(): Promise<void> {
    await this.#opened().catch((error: unknown) => { this.#options.logger.warn({ reason: messageOf(error), folder: this.#options.folder }, 'models cannot be uploaded'); });
  }

  /** Names of the models in the folder. */
  async names(): Promise<ReadonlySet<string>> {
    const entries = await readdir(this.#options.folder).catch(() => []);
    return new Set(entries.map((entry) => MODEL_FILE.exec(entry)?.[1]).filter((name) => name !== undefined));
  }

  /** Whether the product has a model of this name of its own. */
  isBundled(name: string): Promise<boolean> {
    return isFile(join(this.#options.bundledFolder, `${name}.onnx`));
  }

  /**
   * Takes a model, tries it, and only then puts it into the place of what has its name. Throws INVALID_ARGUMENT (the name, or no whole body), ALREADY_EXISTS
   * and FAILED_PRECONDITION (what is there is not what is to be replaced), PAYLOAD_TOO_LARGE, UNPROCESSABLE with the reason (it cannot be used),
   * RESOURCE_EXHAUSTED, UNAVAILABLE (no room).
   */
  async put({ name, replaces, request }: PutModel): Promise<TakenModel> {
    checkName(name);
    if (this.#open >= MAX_AT_ONCE) throw new MediaError('RESOURCE_EXHAUSTED', `${String(MAX_AT_ONCE)} models are being uploaded.`, { reason: 'TOO_MANY_UPLOADS', retryAfterSeconds: 5 });
    this.#open++;
    try {
      await this.#admit(name, replaces);
      const spool = await this.#opened();
      await using spooled = await spool.take(request);
      const digest = await digestOf(spooled.path);
      await this.#probe(name, spooled.path);
      const replaced = await this.#alone(async () => {
        const before = await this.#admit(name, replaces);
        await sync(spooled.path);
        // Of a whole request `destroyed` says nothing. Who has gone has given up, or will ask again.
        if (request.socket.destroyed) throw new MediaError('INVALID_ARGUMENT', 'The client has gone before its model was taken.', { reason: 'UPLOAD_BROKEN_OFF' });
        await rename(spooled.path, this.#path(`${name}.onnx`));
        await sync(this.#options.folder);
        return before;
      });
      this.#options.onChange();
      this.#options.logger.info({ model: name, digest, replaced, bytes: spooled.bytes }, 'model uploaded');
      return { digest, bytes: spooled.bytes, replaced };
    } catch (error) {
      this.#options.logger.info({ model: name, reason: messageOf(error) }, 'model not taken');
      throw writable(error);
    } finally {
      this.#open--;
    }
  }

  /**
   * Takes a model's file away, and what stands beside it. `digest`: of the file, as for `put`; null: whatever it is. `check`: rejects where it must not go, asked
   * last, directly before. Throws NOT_FOUND, FAILED_PRECONDITION, INVALID_ARGUMENT (a digest of a model that has no file here).
   */
  async remove(name: string, digest: string | null, check: () => Promise<void>): Promise<void> {
    await this.#alone(async () => {
      const own = (await this.names()).has(name);
      if (!own && await this.isBundled(name)) throw new MediaError('FAILED_PRECONDITION', `The model ${name} comes with the product and stays. To have another one in its place, upload one of this name.`, { reason: 'MODEL_BUNDLED', context: { model: name } });
      if (!own) throw new MediaError('NOT_FOUND', 'There is no such model.', { reason: 'MODEL_NOT_FOUND', context: { model: name.slice(0, 128) } });
      if (digest !== null && digest !== '*') {
        if (await isFile(this.#path(`${name}.kserve.json`))) throw new MediaError('INVALID_ARGUMENT', `The model ${name} runs on an inference server: leave If-Match out, or say *.`, { reason: 'MODEL_ON_SERVER', context: { model: name } });
        matching(name, await this.#digest(name), digest);
      }
      await check();
      const beside = TAKEN_NAMES.test(name) ? [] : SIDECARS; // of a file by hand: another model's
      for (const ending of ['.onnx', '.kserve.json', ...beside]) await rm(this.#path(`${name}${ending}`), { force: true });
      await sync(this.#options.folder);
    }).catch((error: unknown) => { throw writable(error); });
    this.#options.onChange();
  }

  #path(file: string): string { return join(this.#options.folder, file); }

  #opened(): Promise<Spool> {
    const { maxBytes, reserveBytes, clock } = this.#options;
    this.#spool ??= Spool.open({ directory: this.#path(SPOOL), extension: '.onnx', copies: 1, maxBytes, reserveBytes, clock }).catch((error: unknown) => {
      this.#spool = null;
      throw error;
    });
    return this.#spool;
  }

  /** Of the file that has the name now. */
  async #digest(name: string): Promise<string | null> {
    for (const path of [this.#path(`${name}.onnx`), join(this.#options.bundledFolder, `${name}.onnx`)]) if (await isFile(path)) return await digestOf(path);
    return null;
  }

  /** What has the name now, if that may be replaced. */
  async #admit(name: string, replaces: string | null): Promise<string | null> {
    if (await isFile(this.#path(`${name}.kserve.json`))) throw new MediaError('FAILED_PRECONDITION', `The model ${name} runs on an inference server, by a .kserve.json file. Delete it first, or take another name.`, { reason: 'MODEL_ON_SERVER', context: { model: name } });
    const now = await this.#digest(name);
    if (now !== null && replaces === null) throw new MediaError('ALREADY_EXISTS', `There is a model ${name} already. To replace it, say which one: If-Match: "${now}".`, { reason: 'MODEL_EXISTS', context: { model: name, digest: now } });
    if (replaces !== null && replaces !== '*') matching(name, now, replaces);
    const names = await this.names(); // one that comes with the product is not among them
    if (!names.has(name) && names.size >= MAX_MODELS) throw new MediaError('FAILED_PRECONDITION', `There are ${String(names.size)} models of your own, and no more than ${String(MAX_MODELS)} are looked at. Delete one first.`, { reason: 'TOO_MANY_MODELS' });
    return now;
  }

  /** With what stands beside the file of this name, since it will stand beside this one. */
  async #probe(name: string, path: string): Promise<void> {
    const stem = path.replace(/\.onnx$/, '');
    try {
      for (const ending of SIDECARS) if (await isFile(this.#path(`${name}${ending}`))) await copyFile(this.#path(`${name}${ending}`), `${stem}${ending}`);
      await this.#options.probe(path);
    } catch (error) {
      if (error instanceof MediaError) throw new MediaError('UNPROCESSABLE', `This file is no model that can be used here: ${error.message}. Nothing has changed.`, { reason: 'MODEL_NOT_USABLE', cause: error, context: { model: name } });
      throw error;
    } finally {
      for (const ending of SIDECARS) await rm(`${stem}${ending}`, { force: true });
    }
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}

const checkName = (name: string): void => {
  if (MODEL_FILE.test(`${name}.onnx`) && !TAKEN_NAMES.test(name)) return;
  throw new MediaError('INVALID_ARGUMENT', 'A model\'s name has up to 128 letters, digits, dots, hyphens and underscores, begins with a letter or a digit, is not `detect`, and does not end in .onnx, .labels or .kserve.', { reason: 'MODEL_NAME_INVALID', context: { model: name.slice(0, 200) } });
};

const matching = (name: string, now: string | null, wanted: string): void => {
  if (now === wanted) return;
  throw new MediaError('FAILED_PRECONDITION', now === null ? `There is no file of the model ${name} to replace.` : `The model ${name} has changed: its file's SHA-256 is ${now}. Look at it first.`, { reason: 'MODEL_CHANGED', context: { model: name, digest: now } });
};

/** What the file system forbids is the operator's to allow. */
const writable = (error: unknown): unknown =>
  (error instanceof Error && 'code' in error && CANNOT_WRITE.has(error.code)
    ? new MediaError('FAILED_PRECONDITION', 'The server may not write to its folder of models (inference.models_dir); copy the file there by other means.', { reason: 'MODELS_DIR_READ_ONLY', cause: error })
    : error);
