/** Which of ONNX Runtime's execution providers a model runs on: those worth trying, and what trying them says. */
import { EXECUTION_PROVIDERS } from '../../config/inference.ts';
import type { ExecutionProvider } from '../../config/inference.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { BatchChoice, ProviderChoice } from '../port.ts';
import { shown } from './trial-runs.ts';
import type { Times } from './trial-runs.ts';

/** `worker.execution_providers`: the quickest, or the first of these that can be used. */
export type ProviderSetting = 'auto' | readonly ExecutionProvider[];

/** What of a machine tells which providers it may have. */
export interface ProviderMachine {
  readonly platform: NodeJS.Platform;
  /** That ONNX Runtime here knows, by its names. */
  readonly offered: readonly string[];
  /** Of these, whose library is not there: it comes apart from ONNX Runtime. */
  readonly withoutLibrary: readonly string[];
  /** NVIDIA's driver is loaded (Linux). */
  readonly nvidia: boolean;
  /** There is a `/dev/dri/renderD…` (Linux). */
  readonly renderNode: boolean;
}

export interface ProviderPlan {
  /** In the order of preference. */
  readonly toTry: readonly ExecutionProvider[];
  /** Why others are not tried, by name. */
  readonly left: Readonly<Record<string, string>>;
}

/** What became of trying a provider with a model. */
export type ProviderVerdict =
  /** It gives what the CPU gives. `cpu`, `own`: what a picture took on each; `batch`: how many pictures are worth running together on it; `loadMs`: until the first one was run. */
  | { readonly usable: true; readonly cpu: Times; readonly own: Times; readonly batch: BatchChoice; readonly loadMs: Milliseconds }
  | { readonly usable: false; readonly why: string };

export interface ProviderTrial {
  readonly provider: ExecutionProvider;
  readonly verdict: ProviderVerdict;
}

/** A picture must take so much less, in proportion, than on the CPU: what is less is noise, and what runs on the CPU nothing can take away. */
export const LEAST_GAIN = 0.2;
/** A model that takes longer to load there is left on the CPU: while it is loaded the worker answers nobody. Who names the provider has it so. */
export const MOST_LOAD_MS: Milliseconds = 2000;
const MAX_REASON = 1000;

/** Why trying is in vain, in words for an operator; null: it is not. `named`: somebody wants it tried, whatever the machine shows of its devices. */
const whyInVain = (provider: ExecutionProvider, named: boolean, { platform, offered, withoutLibrary, nvidia, renderNode }: ProviderMachine): string | null => {
  if (!offered.includes(provider)) return `ONNX Runtime here does not offer it (it offers ${offered.join(', ')})`;
  const toBeSeen = named || platform !== 'linux' || nvidia;
  if (!toBeSeen && (provider === 'cuda' || provider === 'tensorrt')) return 'the driver of NVIDIA is not loaded (no /dev/nvidiactl)';
  if (!toBeSeen && provider === 'webgpu' && !renderNode) return 'there is no graphics card to be seen (no /dev/dri/renderD…, no /dev/nvidiactl)';
  return withoutLibrary.includes(provider) ? 'its library does not lie beside ONNX Runtime\'s own' : null;
};

/** What is to be tried beside the CPU: of `auto` what is offered and there is a sign of; of a list what comes before `cpu`. */
export const planProviders = (setting: ProviderSetting, machine: ProviderMachine): ProviderPlan => {
  const wanted = setting === 'auto' ? EXECUTION_PROVIDERS.filter((provider) => machine.offered.includes(provider)) : [...new Set(setting)];
  const end = setting === 'auto' ? -1 : wanted.indexOf('cpu');
  const toTry: ExecutionProvider[] = [];
  const left: Record<string, string> = {};
  for (const provider of wanted.slice(0, end < 0 ? wanted.length : end)) {
    if (provider === 'cpu') continue;
    const why = whyInVain(provider, setting !== 'auto', machine);
    if (why === null) toTry.push(provider);
    else left[provider] = why;
  }
  return { toTry, left };
};

const ratio = ({ cpu, own }: Extract<ProviderVerdict, { readonly usable: true }>): number => own.median / cpu.median;

/** By the usual run and by the quickest: that other work came between some of them makes no difference. */
const pays = ({ cpu, own, loadMs }: Extract<ProviderVerdict, { readonly usable: true }>): boolean =>
  loadMs <= MOST_LOAD_MS && (['median', 'least'] as const).every((of) => own[of] <= (1 - LEAST_GAIN) * cpu[of]);

/**
 * What a model is to run on: with `auto` the quickest of those that give what the CPU gives, where it is clearly quicker than the CPU;
 * with a list the first of them. `trials`: in the order of preference. `batch`: of what was chosen; undefined on the CPU.
 */
export const chooseProvider = (setting: ProviderSetting, { left }: Pick<ProviderPlan, 'left'>, trials: readonly ProviderTrial[]): ProviderChoice & { readonly batch: BatchChoice | undefined } => {
  let best: { readonly name: ExecutionProvider; readonly ratio: number; readonly batch: BatchChoice } | null = null;
  for (const { provider, verdict } of trials) {
    if (!verdict.usable) continue;
    if (setting === 'auto' ? pays(verdict) && (best === null || ratio(verdict) < best.ratio) : best === null) best = { name: provider, ratio: ratio(verdict), batch: verdict.batch };
  }
  return { name: best?.name ?? 'cpu', why: reasonOf(setting, left, trials), batch: best?.batch };
};

const reasonOf = (setting: ProviderSetting, left: ProviderPlan['left'], trials: readonly ProviderTrial[]): string => {
  const measured = trials.map(({ provider, verdict }) => (verdict.usable ? `${provider} ${shown(verdict.own.median)} ms a picture, cpu ${shown(verdict.cpu.median)} ms${setting === 'auto' && verdict.loadMs > MOST_LOAD_MS ? `, but ${shown(verdict.loadMs / 1000)} s to load it` : ''}` : `${provider}: ${verdict.why}`));
  const others = [...measured, ...Object.entries(left).map(([provider, why]) => `${provider}: ${why}`)];
  if (others.length === 0) return setting === 'auto' ? 'ONNX Runtime offers nothing else here' : 'worker.execution_providers says so';
  return `${setting === 'auto' ? '' : `worker.execution_providers is ${setting.join(', ')}; `}${others.join('; ')}`.slice(0, MAX_REASON);
};
