import { setTimeout as sleep } from 'node:timers/promises';
import { clip } from '../test/support/media.ts';
import { TestServer } from '../test/support/server.ts';
import { addedLatencies } from './support/added-latency.ts';
import type { Bench } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { PeerProcess } from './support/peer-process.ts';
import { cpuMilliseconds } from './support/process-usage.ts';
import { flood } from './support/wrk.ts';

const CAMERAS = 10;
const VIEWERS = 10;
const CONNECTIONS = 64;
const SECONDS = 20;
const WARM_UP_SECONDS = 8;

export const bench: Bench = {
  what: `wrk, ${CONNECTIONS} connections, authenticated GET /v1/cameras of ${CAMERAS} cameras; the latency WHIP → WHEP adds meanwhile (720p30, ${VIEWERS} viewers). wrk, publisher, viewers and server share the machine's cores`,
  async run() {
    await using server = await TestServer.start();
    const camera = await server.addCamera('camera-0', { pipelines: [], recording: { policy: 'off' } });
    for (let i = 1; i < CAMERAS; i++) await server.addCamera(`camera-${i}`, { pipelines: [], recording: { policy: 'off' } });
    const [control] = await server.pids('control');
    if (control === undefined) throw new Error('no control');
    const url = `${server.http}/v1/cameras`;
    await flood(url, server.token, WARM_UP_SECONDS, CONNECTIONS);
    const alone = await flood(url, server.token, SECONDS, CONNECTIONS);

    await using publisher = new PeerProcess();
    await using viewers = new PeerProcess();
    await publisher.publish(clip('vtest-720p30-baseline.mp4'), camera.direct_urls['whip'] ?? '', camera.publish_key);
    await viewers.view(camera.direct_urls['whep'] ?? '', server.token, VIEWERS);
    await sleep(WARM_UP_SECONDS * 1000);
    const latencies = async (meanwhile: Promise<unknown>): Promise<number[]> => {
      await publisher.report(true);
      await viewers.report(true);
      await meanwhile;
      return addedLatencies(await publisher.report(), await viewers.report());
    };
    const quiet = await latencies(sleep(SECONDS * 1000));
    const cpu = cpuMilliseconds(control);
    const flooding = flood(url, server.token, SECONDS, CONNECTIONS);
    const busy = await latencies(flooding);
    const during = await flooding;
    const perRequest = ((cpuMilliseconds(control) - cpu) * 1000) / (during.perSecond * SECONDS);
    const [quietP99, busyP99] = [round(quantile(quiet, 0.99)), round(quantile(busy, 0.99))];
    return [
      { figure: 'requests answered, nothing else going on', value: round(alone.perSecond, 0), unit: 'per second', target: 'at least 5,000/s', met: alone.perSecond >= 5000 && alone.failures === 0 },
      { figure: 'p99 of them', value: round(alone.p99Ms, 1), unit: 'ms' },
      { figure: 'requests answered while video is forwarded', value: round(during.perSecond, 0), unit: 'per second' },
      { figure: 'CPU of control per request', value: round(perRequest, 0), unit: 'µs' },
      { figure: 'failed requests', value: alone.failures + during.failures, unit: 'requests' },
      { figure: 'added latency p99 without the flood', value: quietP99, unit: 'ms' },
      { figure: 'added latency p99 meanwhile', value: busyP99, unit: 'ms', target: 'twice that without at most', met: busyP99 <= 2 * quietP99 },
      { figure: 'added latency p50 without the flood', value: round(quantile(quiet, 0.5)), unit: 'ms' },
      { figure: 'added latency p50 meanwhile', value: round(quantile(busy, 0.5)), unit: 'ms' },
    ];
  },
};
