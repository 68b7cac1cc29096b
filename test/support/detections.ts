import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { toDetectionsMessage } from '../../core/detection.ts';
import { until } from './server.ts';
import type { TestServer } from './server.ts';

/** An item of `GET /v1/detections`. */
export interface StoredDetection {
  readonly id: number;
  readonly captured_at: string;
  readonly stream_epoch: number;
  readonly rtp_timestamp: number;
  readonly sequence: number;
  readonly class_name: string;
  readonly class_id: number;
  readonly confidence: number;
  readonly bbox: { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
  readonly track_id: string | null;
  readonly model: string;
}

/** Everything the database has for a query such as `camera=a&model=m`, page by page, oldest first. */
export const storedDetections = async (server: TestServer, query: string): Promise<StoredDetection[]> => {
  const all: StoredDetection[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const page: { items: StoredDetection[]; next_cursor: string | null } = await server.request('GET', `/v1/detections?${query}&order=asc&limit=500${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`);
    all.push(...page.items);
    cursor = page.next_cursor;
  }
  return all;
};

/** As `storedDetections`, once nothing more has come for a second: those of the last pictures are stored a moment after their recording. */
export const settledDetections = async (server: TestServer, query: string): Promise<StoredDetection[]> => {
  let known = -1;
  return await until('no more detections come', async () => {
    const all = await storedDetections(server, query);
    if (all.length === known) return all;
    known = all.length;
    await sleep(1000);
    return undefined;
  });
};

export type DetectionsMessage = ReturnType<typeof toDetectionsMessage>;

/** Listens to `/v1/cameras/{camera}/detections/live`: one message per inferred picture, also where nothing was found. */
export class LiveDetections implements Disposable {
  readonly messages: DetectionsMessage[] = [];
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data: Buffer) => { this.messages.push(JSON.parse(data.toString('utf8')) as DetectionsMessage); });
  }

  /** It still receives. */
  get open(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** Resolves when the socket is open. */
  static async open(url: string, token: string): Promise<LiveDetections> {
    const socket = new WebSocket(url, [`bearer.${token}`]);
    const live = new LiveDetections(socket);
    await new Promise((resolve, reject) => { socket.once('open', resolve); socket.once('error', reject); });
    return live;
  }

  [Symbol.dispose](): void {
    this.#socket.terminate();
  }
}
