/** The supervisor: starts the other processes of this machine, starts them again when they die, and stops them in order. */
import { rmSync } from 'node:fs';
import type { Config } from '../config/schema.ts';
import { systemClock } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Logger } from '../platform/logging.ts';
import { runtimeDirectory } from '../platform/runtime-directory.ts';
import { lockData } from './data-lock.ts';
import { RESTART_POLICY } from './restart-policy.ts';
import type { RestartPolicy } from './restart-policy.ts';
import { SupervisedProcess } from './supervised-process.ts';
import type { ProcessSpec } from './supervised-process.ts';

/** What all processes together told when they were ready: the contents of their `ready` messages, merged, without `type`. */
export type ReadyInfo = Readonly<Record<string, unknown>>;

export interface SupervisorOptions {
  /** `main.ts`; each role is started as `main.ts --role <role> …args`. */
  readonly script: string;
  /** Handed to every role behind `--role`, e.g. `['--config', path]`. */
  readonly args?: readonly string[];
  readonly logger: Logger;
  /** Called once, when every role has said it is ready. */
  readonly onReady?: (ready: ReadyInfo) => void;
  /** Control made the user `admin` with this password. It is told once, whatever becomes of the start. */
  readonly onAdmin?: (password: string) => void;
  readonly clock?: Clock;
  readonly policy?: RestartPolicy;
  /** For tests: other roles than control, worker and edge. They stop in groups, first group first. */
  readonly stopOrder?: readonly (readonly string[])[];
}

/** The edge first, while control still takes its last events; 6 + 3 s keep within the 10 s of contract 0.2. */
const STOP_ORDER: readonly (readonly string[])[] = [['edge'], ['control', 'worker']];
const STOP_WITHIN_MS: readonly Milliseconds[] = [6000, 3000];

export class Supervisor implements AsyncDisposable {
  /** Resolves with an exit code when the supervisor has stopped: 0 after `stop()`, 1 when a role cannot work. */
  readonly finished: Promise<number>;
  readonly #config: Config;
  readonly #options: SupervisorOptions;
  readonly #processes: readonly SupervisedProcess[];
  readonly #ready = new Map<string, ReadyInfo>();
  readonly #finished = Promise.withResolvers<number>();
  #announced = false;
  #stopping: Promise<void> | undefined;

  constructor(config: Config, options: SupervisorOptions) {
    this.#config = config;
    this.#options = options;
    this.finished = this.#finished.promise;
    this.#processes = this.#order.flat().map((role) => this.#supervise({ role, script: options.script, args: ['--role', role, ...(options.args ?? [])] }));
  }

  start(): void {
    // The last to stop is the first to start: control and worker before the edge that wants them.
    for (const process of this.#processes.toReversed()) process.start();
  }

  /** Process ids by role, for `doctor` and tests. */
  pids(): ReadonlyMap<string, number> {
    return new Map(this.#processes.flatMap(({ role, pid }): [string, number][] => (pid === undefined ? [] : [[role, pid]])));
  }

  /** Stops every process in order, each within its grace. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop(0);
    return this.#stopping;
  }

  /** The operator asked twice: no more waiting. */
  kill(): void {
    for (const process of this.#processes) process.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  get #order(): readonly (readonly string[])[] { return this.#options.stopOrder ?? STOP_ORDER; }

  #supervise(spec: ProcessSpec): SupervisedProcess {
    const { logger } = this.#options;
    return new SupervisedProcess({
      spec,
      policy: this.#options.policy ?? RESTART_POLICY,
      clock: this.#options.clock ?? systemClock,
      logger,
      onMessage: (message) => { this.#receive(spec.role, message); },
      onExit: (description, fatal) => {
        this.#ready.delete(spec.role);
        if (!fatal) return;
        logger.fatal({ role: spec.role, description }, 'a process cannot work, giving up');
        this.#stopping ??= this.#stop(1);
      },
    });
  }

  #receive(role: string, message: Readonly<Record<string, unknown>>): void {
    if (message['type'] === 'admin' && typeof message['password'] === 'string') this.#options.onAdmin?.(message['password']);
    if (message['type'] !== 'ready' || this.#stopping) return;
    const { type: _type, ...info } = message;
    this.#ready.set(role, info);
    this.#options.logger.info({ role }, 'process ready');
    if (this.#announced || this.#ready.size < this.#processes.length) return;
    this.#announced = true;
    this.#options.onReady?.(merge([...this.#ready.values()]));
  }

  async #stop(exitCode: number): Promise<void> {
    for (const [index, roles] of this.#order.entries()) {
      const grace = STOP_WITHIN_MS[index] ?? 1000;
      await Promise.all(this.#processes.filter(({ role }) => roles.includes(role)).map((process) => process.stop(grace)));
    }
    rmSync(runtimeDirectory(this.#config.data_dir), { recursive: true, force: true });
    this.#finished.resolve(exitCode);
  }
}

/** Objects of the same name (`urls`) are put together. */
const merge = (parts: readonly ReadyInfo[]): ReadyInfo => {
  const merged: Record<string, unknown> = {};
  for (const part of parts) {
    for (const [name, value] of Object.entries(part)) {
      const before = merged[name];
      merged[name] = typeof value === 'object' && value !== null && typeof before === 'object' && before !== null ? { ...before, ...value } : value;
    }
  }
  return merged;
};

/**
 * Runs the server until SIGTERM, SIGINT or a role that cannot work; resolves with the exit code. A second signal kills at once.
 * Throws FAILED_PRECONDITION when another server runs on this `data_dir`.
 */
export const superviseProcesses = async (config: Config, options: SupervisorOptions): Promise<number> => {
  using _lock = lockData(config, 'supervisor');
  const supervisor = new Supervisor(config, options);
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    signals += 1;
    options.logger.info({ signal }, signals === 1 ? 'stopping' : 'stopping at once');
    if (signals === 1) void supervisor.stop();
    else supervisor.kill();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  supervisor.start();
  try {
    return await supervisor.finished;
  } finally {
    process.off('SIGTERM', onSignal);
    process.off('SIGINT', onSignal);
  }
};
