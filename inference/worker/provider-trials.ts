import type { ExecutionProvider } from '../../config/inference.ts';
import type { Logger } from '../../platform/logging.ts';
import type { ModelFile } from '../models/model-files.ts';
import type { ChosenProvider, ModelProviders } from '../models/model-registry.ts';
import { chooseProvider, planProviders } from '../models/provider-choice.ts';
import type { ProviderMachine, ProviderPlan, ProviderSetting, ProviderTrial, ProviderVerdict } from '../models/provider-choice.ts';
import type { ProviderChoice } from '../port.ts';
import type { ProviderProbe } from './probe-provider.ts';

export interface ProviderTrialsOptions {
  readonly setting: ProviderSetting;
  readonly machine: ProviderMachine;
  readonly probe: ProviderProbe;
  readonly logger: Logger;
}

/** So many models in a row that a provider could not be used with, and it is not tried with further ones: each may cost a minute. */
const MOST_FAILURES = 3;

/** Finds for one model after the other what it is to run on. */
export class ProviderTrials implements ModelProviders, Disposable {
  readonly first: ProviderChoice;
  readonly choose: ModelProviders['choose'];
  readonly #options: ProviderTrialsOptions;
  readonly #plan: ProviderPlan;
  readonly #ending = new AbortController();
  /** In a row, by provider. */
  readonly #failures = new Map<ExecutionProvider, number>();

  constructor(options: ProviderTrialsOptions) {
    const { setting, machine } = options;
    this.#options = options;
    this.#plan = planProviders(setting, machine);
    const { toTry } = this.#plan;
    this.choose = toTry.length === 0 ? null : (file) => this.#choose(file);
    this.first = toTry.length === 0 ? { name: 'cpu', why: chooseProvider(setting, this.#plan, []).why } : { name: 'cpu', why: `${toTry.join(', ')}: being tried` };
  }

  /** Ends what is being tried. */
  [Symbol.dispose](): void {
    this.#ending.abort();
  }

  async #choose(file: ModelFile): Promise<ChosenProvider | null> {
    const { setting, logger } = this.#options;
    const trials: ProviderTrial[] = [];
    // One after the other: they are measured, and nobody waits for them.
    for (const provider of this.#plan.toTry) {
      const verdict = await this.#try(file, provider);
      if (this.#ending.signal.aborted) return null;
      trials.push({ provider, verdict });
      logger.info({ model: file.name, provider, ...verdict }, 'execution provider tried');
      if (verdict.usable && setting !== 'auto') break; // the first of a list
    }
    return chooseProvider(setting, this.#plan, trials);
  }

  async #try(file: ModelFile, provider: ExecutionProvider): Promise<ProviderVerdict> {
    const failures = this.#failures.get(provider) ?? 0;
    if (failures >= MOST_FAILURES) return { usable: false, why: `it could not be used with ${MOST_FAILURES} models in a row; it is tried again when the worker is started again` };
    const verdict = await this.#options.probe(file, provider, this.#ending.signal);
    this.#failures.set(provider, verdict.usable ? 0 : failures + 1);
    return verdict;
  }
}
