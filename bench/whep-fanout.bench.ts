import { setTimeout as sleep } from 'node:timers/promises';
import { clip } from '../test/support/media.ts';
import { TestServer } from '../test/support/server.ts';
import type { Bench } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { PeerProcess } from './support/peer-process.ts';
import type { PeerReport } from './support/peer-process.ts';
import { cpuMilliseconds, memoryMebibytes } from './support/process-usage.ts';

const VIEWERS = 100;
/** Until the packet history of the camera (16 MiB) is full: it belongs to the camera, not to a viewer. */
const FILL_MS = 38_000;
const SETTLE_MS = 4_000;
const SECONDS = 20;
const INGEST_SECONDS = 10;

const received = (report: PeerReport): number => report.viewers.reduce((sum, { packets }) => sum + packets, 0);

export const bench: Bench = {
  what: `CPU and memory of the edge, one 1080p30 camera by WHIP to ${VIEWERS} WHEP viewers; publisher and viewers run on the same machine, their CPU is not counted`,
  async run() {
    await using server = await TestServer.start();
    const camera = await server.addCamera('one', { pipelines: [], recording: { policy: 'off' } });
    const [edge] = await server.pids('edge');
    if (edge === undefined) throw new Error('no edge');
    await using publisher = new PeerProcess();
    await using viewers = new PeerProcess();
    await publisher.publish(clip('vtest-1080p30.mp4'), camera.direct_urls['whip'] ?? '', camera.publish_key);

    /** CPU of the edge and packets received, over a while. */
    const measure = async (seconds: number): Promise<{ cpu: number; packets: number; seconds: number }> => {
      const [before, cpu, at] = [received(await viewers.report()), cpuMilliseconds(edge), performance.now()];
      await sleep(seconds * 1000);
      const [after, cpuAfter, end] = [received(await viewers.report()), cpuMilliseconds(edge), performance.now()];
      return { cpu: cpuAfter - cpu, packets: after - before, seconds: (end - at) / 1000 };
    };
    /** The middle of some looks, so that one garbage collection more or less does not count. */
    const rss = async (): Promise<number> => {
      const looks: number[] = [];
      for (let i = 0; i < 9; i++) {
        looks.push(memoryMebibytes(edge).rss);
        await sleep(400);
      }
      return quantile(looks, 0.5);
    };

    await sleep(SETTLE_MS);
    const ingest = await measure(INGEST_SECONDS);
    await viewers.view(camera.direct_urls['whep'] ?? '', server.token, 1);
    await sleep(FILL_MS);
    const rssOfOne = await rss();
    await viewers.view(camera.direct_urls['whep'] ?? '', server.token, VIEWERS - 1);
    await sleep(SETTLE_MS);
    const all = await measure(SECONDS);
    const rssOfAll = await rss();
    const report = await viewers.report();

    const gross = (all.cpu * 1000) / all.packets;
    const net = ((all.cpu - (ingest.cpu * all.seconds) / ingest.seconds) * 1000) / all.packets;
    const perViewer = (rssOfAll - rssOfOne) / (VIEWERS - 1);
    return [
      { figure: 'CPU per forwarded packet, net of ingest', value: round(net), unit: 'µs', target: '8 µs at most', met: net <= 8 },
      { figure: 'CPU per forwarded packet, ingest included', value: round(gross), unit: 'µs' },
      { figure: 'CPU of ingest alone', value: round(ingest.cpu / ingest.seconds, 1), unit: 'ms per second' },
      { figure: 'RSS per viewer', value: round(perViewer), unit: 'MiB', target: '0.5 MB at most', met: perViewer * 1.048576 <= 0.5 },
      { figure: 'RSS of the edge with one viewer', value: round(rssOfOne, 0), unit: 'MiB' },
      { figure: `RSS of the edge with ${VIEWERS} viewers`, value: round(rssOfAll, 0), unit: 'MiB' },
      { figure: 'packets received', value: round(all.packets / all.seconds, 0), unit: 'per second' },
      { figure: 'packets missing at first', value: report.viewers.reduce((sum, { missing }) => sum + missing, 0), unit: 'packets' },
    ];
  },
};
