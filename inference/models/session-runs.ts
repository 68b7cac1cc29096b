import type { InferenceSession } from 'onnxruntime-node';
import { messageOf } from '../../core/errors.ts';

/** What runs a model. */
export interface ModelRuns extends Disposable {
  /** Rejects with what ONNX Runtime says when it fails. */
  run(feeds: InferenceSession.FeedsType, outputs: readonly string[]): Promise<InferenceSession.ReturnType>;
}

/** What runs pictures, and tensors of others. */
export interface PictureRuns extends ModelRuns {
  /** The same for tensors that others have made: that they fail says nothing of what runs the model. */
  runOnce(feeds: InferenceSession.FeedsType, outputs: readonly string[]): Promise<InferenceSession.ReturnType>;
}

/** A session that is released once nobody runs it: what replaces it may come in the middle of a run, which ONNX Runtime begins later than it is told to. */
export class SessionRuns implements PictureRuns {
  readonly #session: Pick<InferenceSession, 'run' | 'release'>;
  #underWay = 0;
  #disposed = false;

  constructor(session: Pick<InferenceSession, 'run' | 'release'>) {
    this.#session = session;
  }

  async run(feeds: InferenceSession.FeedsType, outputs: readonly string[]): Promise<InferenceSession.ReturnType> {
    this.#underWay++;
    try {
      return await this.#session.run(feeds, outputs);
    } finally {
      this.#underWay--;
      this.#releaseIfDone();
    }
  }

  runOnce(feeds: InferenceSession.FeedsType, outputs: readonly string[]): Promise<InferenceSession.ReturnType> {
    return this.run(feeds, outputs);
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#releaseIfDone();
  }

  #releaseIfDone(): void {
    if (this.#disposed && this.#underWay === 0) void this.#session.release();
  }
}

/**
 * A session on a provider, and one on the CPU for what fails there. A run that fails is done again on the CPU: does that give an answer, it
 * is the provider's fault, and all further runs are the CPU's; if not, it is the pictures'.
 */
export class FallingBackRuns implements PictureRuns {
  /** Resolves with the reason when the CPU has taken over; never, while it need not. */
  readonly fellBack: Promise<string>;
  readonly #first: ModelRuns;
  readonly #onCpu: () => Promise<ModelRuns>;
  readonly #tell: (why: string) => void;
  /** Made when it is needed first. */
  #spare: Promise<ModelRuns> | null = null;
  #over = false;
  #disposed = false;

  /** `onCpu`: makes the second session. */
  constructor(first: ModelRuns, onCpu: () => Promise<ModelRuns>) {
    this.#first = first;
    this.#onCpu = onCpu;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.fellBack = promise;
    this.#tell = resolve;
  }

  async run(feeds: InferenceSession.FeedsType, outputs: readonly string[]): Promise<InferenceSession.ReturnType> {
    if (this.#over && this.#spare) return (await this.#spare).run(feeds, outputs);
    try {
      return await this.#first.run(feeds, outputs);
    } catch (failure) {
      return await this.#again(feeds, outputs, failure);
    }
  }

  async runOnce(feeds: InferenceSession.FeedsType, outputs: readonly string[]): Promise<InferenceSession.ReturnType> {
    return (this.#over && this.#spare ? await this.#spare : this.#first).run(feeds, outputs);
  }

  /** What runs is run to its end. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#first[Symbol.dispose]();
    this.#spare?.then((runs) => { runs[Symbol.dispose](); }, () => undefined);
  }

  async #again(feeds: InferenceSession.FeedsType, outputs: readonly string[], failure: unknown): Promise<InferenceSession.ReturnType> {
    if (this.#disposed) throw failure;
    this.#spare ??= this.#onCpu();
    let spare: ModelRuns;
    try {
      spare = await this.#spare;
    } catch {
      this.#spare = null; // perhaps there is memory for it next time
      throw failure;
    }
    const given = await spare.run(feeds, outputs);
    if (!this.#over) {
      this.#over = true;
      this.#first[Symbol.dispose]();
      this.#tell(messageOf(failure));
    }
    return given;
  }
}
