/** Disks that a test fills or stops, mounted at a folder. Need root, or a user namespace of their own. */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './server.ts';

const mustBeRoot = (): void => {
  if (process.getuid?.() !== 0) throw new Error('this test mounts a disk of its own, which needs root: run the tests as root, or by `unshare --user --map-root-user --mount npm test`');
};
const unmount = (folder: string): void => { execFileSync('umount', ['-l', folder]); };

/** Mounts a disk of `mebibytes` in memory at `folder`, which is made. */
export const smallDisk = async (folder: string, mebibytes: number): Promise<AsyncDisposable> => {
  mustBeRoot();
  await mkdir(folder, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${String(mebibytes)}m`, 'tmpfs', folder]);
  return { [Symbol.asyncDispose]: () => { unmount(folder); return Promise.resolve(); } };
};

/** A disk (bindfs, FUSE) that can be made to answer nothing for a while: whoever touches it waits. */
export class StoppableDisk implements AsyncDisposable {
  readonly #folder: string;
  readonly #backing: string;
  readonly #process: ChildProcess;

  private constructor(folder: string, backing: string, process: ChildProcess) {
    this.#folder = folder;
    this.#backing = backing;
    this.#process = process;
  }

  /** Mounts it at `folder`, which is made. */
  static async mount(folder: string): Promise<StoppableDisk> {
    mustBeRoot();
    await mkdir(folder, { recursive: true });
    const backing = await mkdtemp(join(tmpdir(), 'imageflow-disk-'));
    const process = spawn('bindfs', ['-f', '--no-allow-other', backing, folder], { stdio: 'ignore' });
    await until('the disk is mounted', () => readFileSync('/proc/self/mounts', 'utf8').includes(` ${folder} `));
    return new StoppableDisk(folder, backing, process);
  }

  stop(): void { this.#process.kill('SIGSTOP'); }
  go(): void { this.#process.kill('SIGCONT'); }

  async [Symbol.asyncDispose](): Promise<void> {
    this.go();
    unmount(this.#folder);
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exited = once(this.#process, 'exit');
      this.#process.kill('SIGKILL');
      await exited;
    }
    await rm(this.#backing, { recursive: true, force: true });
  }
}
