import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface HlsPlayersReport {
  readonly requests: number;
  readonly playlists: number;
  readonly parts: number;
  readonly failures: number;
  readonly bytes: number;
}

/** Blocking LL-HLS players in a process of their own. */
export class HlsPlayers implements AsyncDisposable {
  readonly #child: ChildProcess;

  /** `url`: the multivariant playlist. */
  constructor(url: string, token: string, count: number) {
    this.#child = fork(join(import.meta.dirname, 'hls-players-child.ts'), [url, token, String(count)]);
  }

  async report(): Promise<HlsPlayersReport> {
    const answer = once(this.#child, 'message', { signal: AbortSignal.timeout(5_000) }) as Promise<[HlsPlayersReport]>;
    this.#child.send('report');
    return (await answer)[0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }
}
