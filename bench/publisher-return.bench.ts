import { setTimeout as sleep } from 'node:timers/promises';
import { startChromium } from '../test/support/chromium.ts';
import { blankPage } from '../test/support/live-peers.ts';
import { clip } from '../test/support/media.ts';
import { segmentsOf } from '../test/support/recordings.ts';
import { TestServer, until } from '../test/support/server.ts';
import type { Bench } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { beginWatching, shownPictures, wallOffset } from './support/browser-viewer.ts';
import { machineMs } from './support/machine-clock.ts';
import { PeerProcess } from './support/peer-process.ts';

const VIEWERS = 10;
const RETURNS = 3;
const AWAY_MS = 1_000;
const PLAY_MS = 6_000;
const FRAME_MS = 1000 / 30;

export const bench: Bench = {
  what: `a WHIP publisher (720p30) is killed by SIGKILL and publishes again 1 s later, ${RETURNS} times; ${VIEWERS} bare WHEP viewers and one Chromium watch, the camera is recorded. Everything on one machine`,
  async run() {
    await using stack = new AsyncDisposableStack();
    const server = stack.use(await TestServer.start());
    const browser = stack.use(await startChromium());
    const page = await blankPage(() => browser.context.newPage(), server);
    const camera = await server.addCamera('one', { pipelines: [] });
    const session = async (): Promise<string> => (await server.request<{ session: { id: string } }>('GET', '/v1/cameras/one')).session.id;
    const publish = async (): Promise<PeerProcess> => {
      const publisher = stack.use(new PeerProcess());
      await publisher.publish(clip('vtest-720p30-baseline.mp4'), camera.direct_urls['whip'] ?? '', camera.publish_key);
      return publisher;
    };
    let publisher = await publish();
    const viewers = stack.use(new PeerProcess());
    await viewers.view(camera.direct_urls['whep'] ?? '', server.token, VIEWERS);
    await beginWatching(page, camera.direct_urls['whep'] ?? '', server.token, 'viewer');
    await sleep(PLAY_MS);
    const first = await session();

    const bare: number[] = [];
    const browserDelays: number[] = [];
    const outages: number[] = [];
    let kept = 0;
    for (let i = 0; i < RETURNS; i++) {
      const lastBefore = Math.max(...(await publisher.report()).sent.map(({ lastAt }) => lastAt));
      await publisher[Symbol.asyncDispose](); // SIGKILL
      const killedAt = machineMs();
      await sleep(AWAY_MS);
      publisher = await publish();
      await sleep(PLAY_MS);
      const key = (await publisher.report()).sent.find((picture) => picture.key);
      if (!key) throw new Error('no key frame was sent');
      const { viewers: seen } = await viewers.report();
      const delays = seen.map(({ complete }) => (complete.find(({ at }) => at > key.lastAt)?.at ?? Number.POSITIVE_INFINITY) - key.lastAt);
      bare.push(...delays);
      const last = Math.max(lastBefore, ...seen.flatMap(({ complete }) => complete.filter(({ at }) => at < killedAt + AWAY_MS / 2).map(({ at }) => at)));
      outages.push(key.lastAt - last);
      const { state, shown } = await shownPictures(page, 'viewer');
      const offset = wallOffset(machineMs);
      const shownAt = shown.find(({ at }) => at > key.lastAt + offset)?.at ?? Number.POSITIVE_INFINITY;
      browserDelays.push(shownAt - offset - key.lastAt);
      if (state === 'connected' && Number.isFinite(shownAt)) kept++;
      kept += delays.filter((delay) => Number.isFinite(delay)).length;
    }
    const sameSession = (await session()) === first;
    const watching = await server.metric('imageflow_viewers', { camera: 'one', protocol: 'webrtc' });
    const gaps = await until('the gaps are on record', async () => {
      const found = (await segmentsOf(server, 'one')).flatMap(({ gap_before: gap }) => (gap === null ? [] : [gap * 1000]));
      return found.length >= RETURNS && found;
    });
    const gapErrors = gaps.map((gap, i) => Math.abs(gap - (outages[i] ?? Number.NaN)));
    const worst = round(Math.max(...bare, ...browserDelays), 0);
    return [
      { figure: 'viewers kept', value: kept, unit: `of ${RETURNS * (VIEWERS + 1)} (the server counts ${watching} watching)`, target: 'all', met: kept === RETURNS * (VIEWERS + 1) && watching === VIEWERS + 1 },
      { figure: 'first key frame sent → picture, worst', value: worst, unit: 'ms', target: '200 ms at most', met: worst <= 200 },
      { figure: 'first key frame sent → whole at a bare viewer, p50', value: round(quantile(bare, 0.5), 1), unit: 'ms' },
      { figure: 'first key frame sent → shown by Chromium, worst', value: round(Math.max(...browserDelays), 0), unit: 'ms' },
      { figure: 'outage, mean', value: round(outages.reduce((sum, each) => sum + each, 0) / RETURNS, 0), unit: 'ms' },
      { figure: 'recording: one session, its gaps on record', value: gaps.length, unit: `gaps for ${RETURNS} outages`, target: 'one time line', met: sameSession && gaps.length === RETURNS && Math.max(...gapErrors) <= 2 * FRAME_MS },
      { figure: 'recorded gap against the outage, worst difference', value: round(Math.max(...gapErrors), 0), unit: 'ms' },
    ];
  },
};
