import { spawn } from 'node:child_process';
import type { ChildProcess as NodeChild } from 'node:child_process';
import type { Duplex, Readable } from 'node:stream';
import { systemClock } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { SMALL_YOUNG_GENERATION } from './heap-growth.ts';
import { LineReader } from './line-reader.ts';
import { PARENT_PIPE_FD } from './parent-process.ts';

export interface ChildProcessOptions {
  /** Shown by `ps`, e.g. `imageflow-edge extractor`. */
  readonly title: string;
  /** For Node itself, before the script. */
  readonly nodeFlags?: readonly string[];
  /** Absolute path of the TypeScript file to run, and its arguments. */
  readonly script: string;
  readonly args?: readonly string[];
  /** Pipes beyond the one for messages: file descriptors 4, 5, … in the child; `pipes[0]`, `pipes[1]`, … here. */
  readonly extraPipes?: number;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** What the child writes to stderr, line by line; default: this process's stderr. */
  readonly onStderrLine?: (line: string) => void;
  /** JSON lines the child sends with `ParentLink.send`; a line that is no JSON object is handed to `onStderrLine`. */
  readonly onMessage?: (message: Readonly<Record<string, unknown>>) => void;
  readonly clock?: Clock;
}

/** How a child ended. */
export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Its last lines on stderr, oldest first. */
  readonly lastLines: readonly string[];
  /** Set when it could not be started at all. */
  readonly failure: Error | null;
}

/** Says how a child ended, with its last words. */
export const describeExit = (title: string, exit: ChildExit): string => {
  const how = exit.failure ? `could not be started: ${exit.failure.message}` : exit.signal ? `was killed by ${exit.signal}` : `exited with code ${String(exit.code)}`;
  return exit.lastLines.length === 0 ? `${title} ${how}` : `${title} ${how}; its last lines: ${exit.lastLines.join(' | ')}`;
};

const LAST_LINES = 20;

/**
 * A child process of ours: another role of this program. It stays in this process group, its title is visible to `ps` (D-19: the title is
 * cut to the length of argv, which `--title` makes long enough), and it exits when this process is gone (`exitWithParent`).
 */
export class ChildProcess implements AsyncDisposable {
  readonly title: string;
  readonly pid: number | undefined;
  /** Duplex byte pipes, descriptor 4 and up in the child. */
  readonly pipes: readonly Duplex[];
  /** Resolves when the process has ended and its stderr is read; never rejects. */
  readonly exited: Promise<ChildExit>;
  readonly #child: NodeChild;
  readonly #clock: Clock;

  private constructor(options: ChildProcessOptions) {
    this.title = options.title;
    this.#clock = options.clock ?? systemClock;
    const count = options.extraPipes ?? 0;
    this.#child = spawn(process.execPath, [`--title=${options.title}`, SMALL_YOUNG_GENERATION, ...(options.nodeFlags ?? []), options.script, ...(options.args ?? [])], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', ...Array.from({ length: count }, () => 'pipe' as const)],
      env: { ...process.env, ...options.env, [PARENT_PIPE_FD]: '3' },
    });
    this.pid = this.#child.pid;
    this.pipes = this.#child.stdio.slice(4) as Duplex[];
    this.exited = this.#watch(options);
  }

  /** Starts it. A failure to start shows in `exited`. */
  static spawn(options: ChildProcessOptions): ChildProcess {
    return new ChildProcess(options);
  }

  get running(): boolean {
    return this.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** SIGTERM, then SIGKILL if it still runs after `graceMs`. */
  async stop(graceMs: number): Promise<ChildExit> {
    if (!this.running) return this.exited;
    this.kill('SIGTERM');
    using _timer = this.#clock.after(graceMs, () => { this.kill('SIGKILL'); });
    return await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop(2000);
  }

  #watch(options: ChildProcessOptions): Promise<ChildExit> {
    const lastLines: string[] = [];
    const onStderrLine = options.onStderrLine ?? ((line: string): void => { process.stderr.write(`${line}\n`); });
    const stderr = this.#child.stderr as Readable;
    const errors = new LineReader((line) => {
      lastLines.push(line);
      if (lastLines.length > LAST_LINES) lastLines.shift();
      onStderrLine(line);
    });
    stderr.on('data', (chunk: Buffer) => { errors.push(chunk); });
    stderr.on('end', () => { errors.end(); });

    const link = this.#child.stdio[3] as Duplex;
    const messages = new LineReader((line) => {
      const message = parseObject(line);
      if (message) options.onMessage?.(message);
      else onStderrLine(line);
    });
    link.on('data', (chunk: Buffer) => { messages.push(chunk); });
    // The child died while a pipe was in use; `exited` tells.
    for (const pipe of [link, ...this.pipes, stderr]) pipe.on('error', () => undefined);

    return new Promise((resolve) => {
      this.#child.once('error', (failure) => {
        if (this.pid === undefined) resolve({ code: null, signal: null, lastLines, failure });
      });
      // 'close' comes after 'exit' when the pipes are read to their end; a grandchild that kept stderr open must not hold it up.
      this.#child.once('exit', (code, signal) => {
        const done = (): void => { resolve({ code, signal, lastLines, failure: null }); };
        const timer = this.#clock.after(200, done);
        this.#child.once('close', () => { timer[Symbol.dispose](); done(); });
      });
    });
  }
}

const parseObject = (line: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
};
