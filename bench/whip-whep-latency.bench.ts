import { setTimeout as sleep } from 'node:timers/promises';
import { clip } from '../test/support/media.ts';
import { TestServer } from '../test/support/server.ts';
import { addedLatencies } from './support/added-latency.ts';
import type { Bench } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { PeerProcess } from './support/peer-process.ts';

const VIEWERS = 10;
const WARM_UP_MS = 8_000;
const SECONDS = 30;

export const bench: Bench = {
  what: `WHIP → WHEP added latency, one 1080p30 camera, ${VIEWERS} viewers: last packet of a picture sent → its last packet received; publisher and viewers run on the same machine`,
  async run() {
    await using server = await TestServer.start();
    const camera = await server.addCamera('one', { pipelines: [], recording: { policy: 'off' } });
    await using publisher = new PeerProcess();
    await using viewers = new PeerProcess();
    await publisher.publish(clip('vtest-1080p30.mp4'), camera.direct_urls['whip'] ?? '', camera.publish_key);
    await viewers.view(camera.direct_urls['whep'] ?? '', server.token, VIEWERS);
    await sleep(WARM_UP_MS);
    await publisher.report(true);
    await viewers.report(true);
    await sleep(SECONDS * 1000);
    const [sent, watched] = [await publisher.report(), await viewers.report()];
    const added = addedLatencies(sent, watched);
    const p50 = round(quantile(added, 0.5));
    const p99 = round(quantile(added, 0.99));
    return [
      { figure: 'added latency p50', value: p50, unit: 'ms', target: '3 ms at most', met: p50 <= 3 },
      { figure: 'added latency p99', value: p99, unit: 'ms', target: '20 ms at most', met: p99 <= 20 },
      { figure: 'added latency p95', value: round(quantile(added, 0.95)), unit: 'ms' },
      { figure: 'pictures received', value: added.length, unit: `of about ${VIEWERS * SECONDS * 30}` },
      { figure: 'packets missing at first', value: watched.viewers.reduce((sum, { missing }) => sum + missing, 0), unit: 'packets' },
    ];
  },
};
