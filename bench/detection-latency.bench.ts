import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { clip } from '../test/support/media.ts';
import { TestServer, until } from '../test/support/server.ts';
import type { Bench } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { machineMs } from './support/machine-clock.ts';
import { PeerProcess } from './support/peer-process.ts';

const WARM_UP_MS = 8_000;
const SECONDS = 30;
const FPS = 15;

export const bench: Bench = {
  what: `picture leaves the camera (its first packet, 720p30 by WHIP) → its detection at a viewer's WebSocket; nanodet-g-416.int8.u8 at ${FPS} per second; camera and viewer run on the same machine`,
  async run() {
    await using server = await TestServer.start();
    const camera = await server.addCamera('one', { recording: { policy: 'off' } });
    await using publisher = new PeerProcess();
    await publisher.publish(clip('vtest-720p30.mp4'), camera.direct_urls['whip'] ?? '', camera.publish_key);
    const arrivals: { timestamp: number; at: number; inferenceMs: number }[] = [];
    const socket = new WebSocket(`${camera.direct_urls['websocket'] ?? ''}?token=${server.token}`);
    socket.addEventListener('message', ({ data }) => {
      const at = machineMs();
      const message = JSON.parse(String(data)) as { type: string; rtp_timestamp: number; inference_ms: number };
      if (message.type === 'detections') arrivals.push({ timestamp: message.rtp_timestamp, at, inferenceMs: message.inference_ms });
    });
    await once(socket, 'open');
    await until('there are detections', () => arrivals.length > 0);
    await sleep(WARM_UP_MS);
    arrivals.length = 0;
    await publisher.report(true);
    await sleep(SECONDS * 1000);
    const sentAt = new Map((await publisher.report()).sent.map(({ timestamp, firstAt }) => [timestamp, firstAt]));
    const measured = [...arrivals];
    socket.close();
    const delays = measured.flatMap(({ timestamp, at }) => {
      const sent = sentAt.get(timestamp);
      return sent === undefined ? [] : [at - sent];
    });
    const p50 = round(quantile(delays, 0.5), 1);
    const p99 = round(quantile(delays, 0.99), 1);
    return [
      { figure: 'captured → detection at the socket, p50', value: p50, unit: 'ms', target: '45 ms at most', met: p50 <= 45 },
      { figure: 'captured → detection at the socket, p99', value: p99, unit: 'ms', target: '100 ms at most', met: p99 <= 100 },
      { figure: 'of this the model, p50', value: round(quantile(measured.map(({ inferenceMs }) => inferenceMs), 0.5), 1), unit: 'ms' },
      { figure: 'detections', value: delays.length, unit: `of ${FPS * SECONDS}` },
    ];
  },
};
