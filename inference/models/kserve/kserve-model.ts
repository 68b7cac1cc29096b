import { createHash } from 'node:crypto';
import type { Clock } from '../../../core/clock.ts';
import { MediaError, invariant, messageOf } from '../../../core/errors.ts';
import type { Milliseconds } from '../../../core/units.ts';
import type { Logger } from '../../../platform/logging.ts';
import type { OutputValues } from '../../layouts/layout.ts';
import type { BatchChoice, InferenceFrame, InferenceOutcome, ModelInfo } from '../../port.ts';
import { chooseBatch, decideBatch } from '../batch-choice.ts';
import type { LoadedModel, LoadOptions, PictureBatch } from '../loaded-model.ts';
import { PictureInput } from '../picture-input.ts';
import { PictureModel } from '../picture-model.ts';
import { splitOutputs } from '../split-outputs.ts';
import { checkOutputSizes, inputContract } from '../tensor-contract.ts';
import { readDescriptor } from './kserve-descriptor.ts';
import { KserveServer } from './kserve-server.ts';
import { inferRequest, outputShapes, outputValues } from './kserve-tensors.ts';
import type { ServedModel } from './kserve-tensors.ts';

export interface KserveLoadOptions extends LoadOptions {
  /** What a picture may take, milliseconds. */
  readonly deadlineMs: Milliseconds;
  readonly logger: Logger;
}

/** Servers are asked how they are so often, also those that cannot be used. */
export const WATCH_PERIOD_MS: Milliseconds = 5000;
/** For the first picture: a server may optimise a model then. */
const WARM_UP_MS: Milliseconds = 30_000;
/** So many pictures in a row without an answer in time, and the worker waits for this model no more. */
const MAX_LATE = 3;

const DIFFERS = 'what it serves as this model is not what it was, or not what the others serve';

/** One of the model's servers, and what is wrong with it. */
interface Choice {
  readonly server: KserveServer;
  /** Null: it can be asked. */
  problem: string | null;
  /** `problem` as the log has it. */
  logged: string | null;
  checking: boolean;
}

interface Prepared {
  readonly picture: PictureModel;
  /** What each of these pictures gets. */
  readonly ask: (server: KserveServer, pictures: readonly Uint8Array[], deadlineMs: Milliseconds) => Promise<readonly (readonly OutputValues[])[]>;
  readonly batch: BatchChoice;
  readonly batchDelayMs: Milliseconds;
  /** What every server must say of the model. */
  readonly identity: string;
}

/**
 * A model that runs on one of several KServe v2 servers (NVIDIA Triton): the first of them that can be asked. A picture that one fails
 * on goes to the next within its deadline; the server is asked how it is, and used again when it is well. None left: the model is lost.
 */
export class KserveModel implements LoadedModel {
  readonly info: ModelInfo;
  readonly batch?: PictureBatch;
  readonly lost: Promise<string>;
  readonly #options: Pick<KserveLoadOptions, 'deadlineMs' | 'logger'> & { readonly clock: Clock };
  readonly #choices: readonly Choice[];
  readonly #prepared: Prepared;
  readonly #lose: (reason: string) => void;
  readonly #watch: Disposable;
  #late = 0;
  #disposed = false;

  private constructor(options: KserveLoadOptions, choices: readonly Choice[], prepared: Prepared) {
    const { picture, batch, batchDelayMs } = prepared;
    this.info = { ...picture.info, batch, provider: null };
    if (batch.pictures > 1) this.batch = { most: batch.pictures, delayMs: batchDelayMs, infer: (frames) => this.#infer(frames) };
    this.#options = options;
    this.#choices = choices;
    this.#prepared = prepared;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.lost = promise;
    this.#lose = resolve;
    this.#watch = options.clock.every(WATCH_PERIOD_MS, () => { for (const choice of this.#choices) void this.#check(choice); });
    for (const choice of choices) this.#log(choice);
  }

  /** Asks all servers, checks the tensors and runs twice on the first that can. Rejects with what is wrong with the file, or with each server. */
  static async load(options: KserveLoadOptions): Promise<KserveModel> {
    const { clock } = options;
    const described = await readDescriptor(options.path, options.bytes);
    const { model, version, token } = described;
    const choices = described.urls.map((url): Choice => ({ server: new KserveServer({ url, model, version, token, clock }), problem: null, logged: null, checking: false }));
    const served = await Promise.all(choices.map(async (choice) => {
      try {
        return await choice.server.examine();
      } catch (error) {
        choice.problem = messageOf(error);
        return null;
      }
    }));
    for (const [i, choice] of choices.entries()) {
      const found = served[i];
      if (!found) continue;
      try {
        const prepared = await prepare(options, described, choice.server, found);
        for (const [at, other] of choices.entries()) {
          if (other.problem === null && served[at]?.identity !== prepared.identity) other.problem = `${other.server.url}: ${DIFFERS}`;
        }
        return new KserveModel(options, choices, prepared);
      } catch (error) {
        const why = messageOf(error);
        choice.problem = why.startsWith(choice.server.url) ? why : `${choice.server.url}: ${why}`;
      }
    }
    for (const { server } of choices) server[Symbol.dispose]();
    throw new MediaError('UNAVAILABLE', choices.map(({ problem }) => problem).join('; '));
  }

  async infer(frame: InferenceFrame): Promise<InferenceOutcome> {
    const [outcome] = await this.#infer([frame]);
    invariant(outcome, 'a picture has an outcome');
    return outcome;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#watch[Symbol.dispose]();
    for (const { server } of this.#choices) server[Symbol.dispose]();
  }

  #infer(frames: readonly InferenceFrame[]): Promise<readonly InferenceOutcome[]> {
    return this.#prepared.picture.infer(frames, this.#options.clock, () => this.#run(frames.map(({ pixels }) => pixels)));
  }

  async #run(pictures: readonly Uint8Array[]): Promise<readonly (readonly OutputValues[])[]> {
    const { clock, deadlineMs } = this.#options;
    const until = clock.monotonic() + deadlineMs;
    let failure: Error | null = null;
    for (const choice of this.#choices) {
      if (choice.problem !== null) continue;
      const left = until - clock.monotonic();
      if (left <= 0) break;
      try {
        const values = await this.#prepared.ask(choice.server, pictures, left);
        this.#late = 0;
        return values;
      } catch (error) {
        failure = error instanceof Error ? error : new Error(messageOf(error));
        // Perhaps it only dislikes several at once: what is wrong with the server shows with one.
        if (pictures.length > 1 && isAboutPictures(failure)) break;
        choice.problem = failure.message;
        void this.#check(choice);
      }
    }
    if (failure instanceof MediaError && failure.code === 'DEADLINE_EXCEEDED' && ++this.#late === MAX_LATE) {
      this.#lose(`${MAX_LATE} pictures in a row had no answer within ${deadlineMs} ms (inference.deadline_ms)`);
    }
    throw failure ?? new MediaError('UNAVAILABLE', `no server of ${this.info.name} can be asked now`);
  }

  /** Asks a server how it is. While one is asked that failed, no picture goes there. */
  async #check(choice: Choice): Promise<void> {
    if (choice.checking) return;
    choice.checking = true;
    try {
      const { identity } = await choice.server.examine();
      choice.problem = identity === this.#prepared.identity ? null : `${choice.server.url}: ${DIFFERS}`;
    } catch (error) {
      choice.problem = messageOf(error);
    }
    choice.checking = false;
    if (this.#disposed) return;
    this.#log(choice);
    if (this.#choices.every(({ problem, checking }) => problem !== null && !checking)) this.#lose(this.#choices.map(({ problem }) => problem).join('; '));
  }

  #log(choice: Choice): void {
    const { problem } = choice;
    if (problem === choice.logged) return;
    choice.logged = problem;
    const fields = { model: this.info.name, server: choice.server.url };
    if (problem === null) this.#options.logger.info(fields, 'server of a model is back');
    else this.#options.logger.warn({ ...fields, problem }, 'server of a model cannot be used');
  }
}

const isAboutPictures = (error: Error): boolean => !(error instanceof MediaError && (error.code === 'DEADLINE_EXCEEDED' || error.code === 'UNAVAILABLE'));

/** Two runs: one that may take long, and one in the time that a picture has. Then, where it takes any number of pictures, how many at a time pay. */
const prepare = async (options: KserveLoadOptions, described: Awaited<ReturnType<typeof readDescriptor>>, server: KserveServer, served: ServedModel): Promise<Prepared> => {
  const { model, version, metadata } = described;
  checkOutputSizes(served.outputs);
  const contract = inputContract(served.inputs, served.outputs, metadata);
  const input = new PictureInput(contract, metadata.normalisation);
  const black = new Uint8Array(input.bytes);
  const first = await server.infer(inferRequest(model, version, contract.name, input.tensor([black]), []), WARM_UP_MS);
  const digest = createHash('sha256').update(options.bytes).update(served.identity).digest('hex');
  const picture = await PictureModel.of({ name: options.name, digest, backend: 'kserve', metadata, input, outputs: outputShapes(first), bundledFolder: options.bundledFolder });
  const ask: Prepared['ask'] = async (asked, pictures, deadlineMs) => {
    const request = inferRequest(model, version, contract.name, input.tensor(pictures), picture.outputs);
    return splitOutputs(outputValues(await asked.infer(request, deadlineMs), picture.outputs), input.pictures(pictures.length));
  };
  const { deadlineMs, clock } = options;
  await ask(server, [black], deadlineMs);
  const [fixed, most] = [contract.batch, metadata.batchMax ?? options.batchMax ?? 1];
  const measured = fixed === null && most > 1 ? await chooseBatch({ run: (pictures) => ask(server, pictures, deadlineMs), bytes: input.bytes, most, deadlineMs, clock }) : undefined;
  return { picture, ask, identity: served.identity, batch: decideBatch({ fixed, most, measured }), batchDelayMs: metadata.batchDelayMs ?? options.batchDelayMs ?? 0 };
};
