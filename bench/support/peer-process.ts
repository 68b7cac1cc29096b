import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { SentPicture } from './clip-publisher.ts';

export type PeerCommand =
  | { readonly do: 'publish'; readonly file: string; readonly url: string; readonly token: string }
  | { readonly do: 'view'; readonly url: string; readonly token: string; readonly count: number }
  | { readonly do: 'report'; readonly reset: boolean };

export interface PeerReport {
  readonly sent: readonly SentPicture[];
  readonly packetsSent: number;
  readonly viewers: readonly { readonly complete: readonly { readonly timestamp: number; readonly at: number }[]; readonly packets: number; readonly missing: number }[];
}

export type PeerReply = { readonly id: number; readonly value: PeerReport | null } | { readonly id: number; readonly error: string };

/** WebRTC peers in a process of their own (node-datachannel is one instance per process). */
export class PeerProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<PeerReport | null>>();
  #lastId = 0;

  constructor() {
    this.#child = fork(join(import.meta.dirname, 'peers-child.ts'));
    this.#child.on('message', (reply: PeerReply) => {
      const waiting = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if ('error' in reply) waiting?.reject(new Error(reply.error));
      else waiting?.resolve(reply.value);
    });
    this.#child.once('exit', (code, signal) => { for (const waiting of this.#waiting.values()) waiting.reject(new Error(`the peers ended: ${String(code ?? signal)}`)); });
  }

  async publish(file: string, url: string, token: string): Promise<void> { await this.#ask({ do: 'publish', file, url, token }); }
  /** Adds `count` viewers, one after the other. */
  async view(url: string, token: string, count: number): Promise<void> { await this.#ask({ do: 'view', url, token, count }); }

  /** What was sent and has come; `reset` forgets the times of pictures, not the counters. */
  async report(reset = false): Promise<PeerReport> {
    const report = await this.#ask({ do: 'report', reset });
    if (!report) throw new Error('the peers reported nothing');
    return report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }

  #ask(command: PeerCommand): Promise<PeerReport | null> {
    const waiting = Promise.withResolvers<PeerReport | null>();
    const id = ++this.#lastId;
    this.#waiting.set(id, waiting);
    this.#child.send({ id, command });
    return waiting.promise;
  }
}
