/** A host clock that a test sets, for real processes: libfaketime in front of the C library. Only wall time moves; monotonic time goes on. */
import { existsSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where Debian's package `faketime` puts it. */
const LIBRARY = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map((platform) => `/usr/lib/${platform}/faketime/libfaketimeMT.so.1`).find((path) => existsSync(path));

export class SettableClock implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.set(0);
  }

  static async create(): Promise<SettableClock> {
    if (LIBRARY === undefined) throw new Error('libfaketime is missing: apt-get install faketime');
    return new SettableClock(await mkdtemp(join(tmpdir(), 'imageflow-clock-')));
  }

  /** For the processes whose clock it is to be. */
  get env(): Readonly<Record<string, string>> {
    return { LD_PRELOAD: LIBRARY ?? '', FAKETIME_TIMESTAMP_FILE: this.#file, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' };
  }

  /** From now on the clock shows `seconds` more than the real one. */
  set(seconds: number): void {
    writeFileSync(this.#file, `${seconds < 0 ? '-' : '+'}${String(Math.abs(seconds))}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  get #file(): string { return join(this.#folder, 'offset'); }
}
