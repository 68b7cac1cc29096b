/** What a command may touch of the terminal, so that tests own it. Exit codes are set, never called: `process.exitCode`. */
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { Command } from 'commander';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { messageOf } from '../core/errors.ts';

export interface CliIo {
  readonly env: NodeJS.ProcessEnv;
  /** Results, one line a call. */
  out(line: string): void;
  /** Complaints and progress. */
  err(line: string): void;
  /** Redraws the last line where the terminal can; silent elsewhere. */
  progress(line: string): void;
  /** Asks without echo on a terminal; else reads the first line of stdin. */
  secret(question: string): Promise<string>;
  fail(): void;
}

export const terminalIo: CliIo = {
  env: process.env,
  out: (line) => { process.stdout.write(`${line}\n`); },
  err: (line) => { process.stderr.write(`${line}\n`); },
  progress: (line) => { if (process.stderr.isTTY) process.stderr.write(`\r\u001B[2K${line}`); },
  secret: async (question) => {
    const tty = process.stdin.isTTY;
    if (tty) process.stderr.write(question);
    const silent = new Writable({ write: (_chunk, _encoding, done) => { done(); } });
    const reader = createInterface({ input: process.stdin, output: silent, terminal: tty });
    try {
      for await (const line of reader) return line;
      return '';
    } finally {
      reader.close();
      if (tty) process.stderr.write('\n');
    }
  },
  fail: () => { process.exitCode = 1; },
};

/** A command that reads the configuration. */
export const configured = (name: string, description: string): Command =>
  new Command(name).description(description).option('-c, --config <file>', 'configuration file (YAML); else IMAGEFLOW_CONFIG');

/** The configuration a command was given. Throws MediaError with every mistake in it. */
export const configOf = (command: Command, io: CliIo): Config => loadConfig({ path: command.optsWithGlobals<{ config?: string }>().config, env: io.env });

/** Runs an action; what it throws is told in one line, and the exit code is 1. */
export const guarded = async (io: CliIo, action: () => Promise<void>): Promise<void> => {
  try {
    await action();
  } catch (error) {
    io.err(messageOf(error));
    io.fail();
  }
};
