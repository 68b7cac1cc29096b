import type { Clock } from '../core/clock.ts';
import type { Milliseconds } from '../core/units.ts';
import { ChildProcess, describeExit } from '../platform/child-process.ts';
import type { Logger } from '../platform/logging.ts';
import { FATAL_EXIT_CODE } from './exit-code.ts';
import { RestartBackoff } from './restart-policy.ts';
import type { RestartPolicy } from './restart-policy.ts';

export interface ProcessSpec {
  /** `edge`, `control`, `worker`: names it in logs and in its title. */
  readonly role: string;
  readonly script: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface SupervisedProcessOptions {
  readonly spec: ProcessSpec;
  readonly policy: RestartPolicy;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Each message the process sends; `{type:'ready', …}` among them. */
  readonly onMessage: (message: Readonly<Record<string, unknown>>) => void;
  /** It ended, for whatever reason but `stop()`; `fatal`: it cannot work. One that has worked is started again whatever it says. */
  readonly onExit: (description: string, fatal: boolean) => void;
}

/** One role kept running: started again, with backoff, whenever it ends by itself. */
export class SupervisedProcess {
  readonly role: string;
  readonly #options: SupervisedProcessOptions;
  readonly #backoff: RestartBackoff;
  #child: ChildProcess | undefined;
  #restart: Disposable | undefined;
  #stopping = false;
  #wasReady = false;

  constructor(options: SupervisedProcessOptions) {
    this.role = options.spec.role;
    this.#options = options;
    this.#backoff = new RestartBackoff(options.policy);
  }

  get pid(): number | undefined { return this.#child?.pid; }

  start(): void {
    const { spec, clock, logger } = this.#options;
    const startedAt = clock.monotonic();
    const child = ChildProcess.spawn({
      title: `imageflow-edge ${spec.role}`,
      script: spec.script,
      args: spec.args,
      ...(spec.env === undefined ? {} : { env: spec.env }),
      onMessage: (message) => {
        if (message['type'] === 'ready') this.#wasReady = true;
        this.#options.onMessage(message);
      },
    });
    this.#child = child;
    void child.exited.then((exit) => {
      if (this.#stopping) return;
      const fatal = exit.code === FATAL_EXIT_CODE && !this.#wasReady;
      const description = describeExit(child.title, exit);
      this.#options.onExit(description, fatal);
      if (fatal) return;
      const delay = this.#backoff.next(clock.monotonic() - startedAt);
      logger.warn({ role: spec.role, delayMs: delay, code: exit.code, signal: exit.signal, lastLines: exit.lastLines.slice(-3) }, 'process ended, starting it again');
      this.#restart = clock.after(delay, () => { this.start(); });
    });
  }

  /** Asks it to stop, and kills it after `graceMs`. It is not started again. */
  async stop(graceMs: Milliseconds): Promise<void> {
    this.#stopping = true;
    this.#restart?.[Symbol.dispose]();
    if (!this.#child) return;
    const exit = await this.#child.stop(graceMs);
    if (exit.signal === 'SIGKILL') this.#options.logger.warn({ role: this.role, graceMs }, 'process did not stop in time and was killed');
  }

  /** At once, by SIGKILL. */
  kill(): void {
    this.#stopping = true;
    this.#restart?.[Symbol.dispose]();
    this.#child?.kill('SIGKILL');
  }
}
