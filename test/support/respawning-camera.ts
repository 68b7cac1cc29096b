import { ffmpegPush } from './media.ts';
import type { Running } from './media.ts';

/** A camera that publishes again and again by RTSP until disposed, as real ones do when their server goes away. */
export class RespawningCamera implements AsyncDisposable {
  readonly #file: string;
  readonly #done: Promise<void>;
  #url: string;
  #push: Running | undefined;
  #ended = false;

  constructor(file: string, url: string) {
    this.#file = file;
    this.#url = url;
    this.#done = this.#run();
  }

  /** The server has another address now: used from the next attempt on. */
  moveTo(url: string): void { this.#url = url; }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    await this.#push?.[Symbol.asyncDispose]();
    await this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      this.#push = ffmpegPush(this.#file, this.#url, { loop: true });
      await this.#push.exit;
      await new Promise((resolve) => { setTimeout(resolve, 200); });
    }
  }
}
