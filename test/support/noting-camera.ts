/** A camera that publishes again and again, picture by picture in real time, and notes when it sent which: what becomes of them can be told afterwards. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clip } from '../../demo/mp4-clip.ts';
import { RtspCamera } from '../../demo/rtsp-camera.ts';
import type { Camera, TestServer } from './server.ts';

const RETRY_MS = 200;

export interface SentPicture {
  readonly rtpTimestamp: number;
  /** Unix ms. */
  readonly at: number;
}

export class NotingCamera implements AsyncDisposable {
  readonly id: string;
  /** One list for each time it was connected. */
  readonly publications: SentPicture[][] = [];
  readonly #ending = new AbortController();
  readonly #done: Promise<void>;

  constructor(pictures: Clip, server: TestServer, camera: Camera) {
    this.id = camera.id;
    this.#done = this.#run(pictures, `${server.rtsp}/${camera.id}`, camera.publish_key);
  }

  /** Everything it sent, in order. */
  get sent(): readonly SentPicture[] { return this.publications.flat(); }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#done;
  }

  async #run(clip: Clip, url: string, key: string): Promise<void> {
    const { signal } = this.#ending;
    const ended = once(signal, 'abort');
    while (!signal.aborted) {
      try {
        const sent: SentPicture[] = [];
        using camera = await RtspCamera.start({ url, key, clip, onPicture: (rtpTimestamp) => { sent.push({ rtpTimestamp, at: Date.now() }); } });
        this.publications.push(sent);
        await Promise.race([camera.closed(), ended]);
      } catch {
        await sleep(RETRY_MS); // the server is not back
      }
    }
  }
}
