import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { startChromium } from '../test/support/chromium.ts';
import { blankPage } from '../test/support/live-peers.ts';
import { clip, ffmpegMake } from '../test/support/media.ts';
import { TestServer, until } from '../test/support/server.ts';
import type { Bench, Figure } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { beginWatching, endWatching, shownPictures, wallOffset } from './support/browser-viewer.ts';
import { machineMs } from './support/machine-clock.ts';
import { PeerProcess } from './support/peer-process.ts';

const GOPS = [2, 10] as const;
const RANDOM_JOINS = 10;
const REFERENCE_JOINS = 3;
const MOST_WAIT_MS = 1_500;
/** When the live latency is looked at, after the POST. */
const LATER_MS = { from: 1_750, to: 2_400 };
const FRAME_MS = 1000 / 30;

/** `first`: after the POST; `whole`: since the player began, its own addresses gathered. Milliseconds. */
interface Joined { readonly first: number; readonly whole: number; readonly later: number }

/** A viewer comes, stays for some seconds and goes: time to its first picture, and how old its pictures were two seconds later. */
const joinOnce = async (page: Page, url: string, token: string, publisher: PeerProcess, name: string): Promise<Joined> => {
  const offset = wallOffset(machineMs);
  const { began, posted } = await beginWatching(page, url, token, name);
  await sleep(LATER_MS.to + 100);
  const { shown } = await shownPictures(page, name);
  await endWatching(page, name);
  const sent = new Map((await publisher.report()).sent.map(({ timestamp, lastAt }) => [timestamp, lastAt + offset]));
  const ages = shown.filter(({ at }) => at - posted >= LATER_MS.from && at - posted <= LATER_MS.to).flatMap(({ rtpTimestamp, at }) => {
    const left = sent.get(rtpTimestamp);
    return left === undefined ? [] : [at - left];
  });
  const shownAt = shown[0]?.at ?? Number.POSITIVE_INFINITY;
  return { first: shownAt - posted, whole: shownAt - began, later: quantile(ages, 0.5) };
};

export const bench: Bench = {
  what: `Chromium, POST of the offer → first picture, 720p30 2 Mbit/s by WHIP, ${RANDOM_JOINS} joins at random phases of GOPs of ${GOPS.join(' and ')} s; live latency (sent → shown) two seconds later against viewers who came at a key frame. Everything on one machine`,
  async run() {
    await using stack = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'imageflow-bench-'));
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    const server = stack.use(await TestServer.start());
    const browser = stack.use(await startChromium());
    const page = await blankPage(() => browser.context.newPage(), server);
    const cameras = await Promise.all(GOPS.map(async (gop) => {
      const file = await ffmpegMake(['-i', clip('vtest-720p30.mp4'), '-t', '20', '-c:v', 'libx264', '-preset', 'veryfast', '-bf', '0', '-g', String(gop * 30), '-keyint_min', String(gop * 30), '-sc_threshold', '0', '-b:v', '2M', '-maxrate', '2M', '-bufsize', '2M'], join(folder, `gop-${gop}.mp4`));
      const camera = await server.addCamera(`gop-${gop}`, { pipelines: [], recording: { policy: 'off' } });
      const publisher = stack.use(new PeerProcess());
      await publisher.publish(file, camera.direct_urls['whip'] ?? '', camera.publish_key);
      return { gop, publisher, url: camera.direct_urls['whep'] ?? '', random: [] as Joined[], reference: [] as Joined[] };
    }));
    await until('a first key frame', async () => (await Promise.all(cameras.map(({ publisher }) => publisher.report()))).every(({ sent }) => sent.length > 60));
    let name = 0;
    const watch = (of: (typeof cameras)[number]): Promise<Joined> => joinOnce(page, of.url, server.token, of.publisher, String(name++));
    for (const of of cameras) await watch(of); // the browser's first is not like the others
    for (let i = 0; i < RANDOM_JOINS; i++) {
      for (const of of cameras) {
        await sleep(Math.random() * MOST_WAIT_MS);
        of.random.push(await watch(of));
      }
    }
    for (const of of cameras) {
      for (let i = 0; i < REFERENCE_JOINS; i++) {
        const last = (await of.publisher.report()).sent.findLast(({ key }) => key)?.lastAt ?? 0;
        await sleep(Math.max(0, last + of.gop * 1000 + FRAME_MS / 2 - machineMs()));
        of.reference.push(await watch(of));
      }
    }
    return cameras.flatMap(({ gop, random, reference }): Figure[] => {
      const firsts = random.map(({ first }) => first);
      const p95 = round(quantile(firsts, 0.95), 0);
      const later = round(quantile(random.map((joined) => joined.later), 0.5), 1);
      const worst = round(Math.max(...random.map((joined) => joined.later)), 1);
      const atKey = round(quantile(reference.map((joined) => joined.later), 0.5), 1);
      return [
        { figure: `GOP ${gop} s: first picture p95`, value: p95, unit: 'ms', target: '150 ms at most', met: p95 <= 150 },
        { figure: `GOP ${gop} s: first picture p50`, value: round(quantile(firsts, 0.5), 0), unit: 'ms' },
        { figure: `GOP ${gop} s: first picture since the player began, p95`, value: round(quantile(random.map(({ whole }) => whole), 0.95), 0), unit: 'ms' },
        { figure: `GOP ${gop} s: live latency two seconds later, median of the joins`, value: later, unit: 'ms', target: `that of a viewer who joined at a key frame, within a frame`, met: later <= atKey + FRAME_MS },
        { figure: `GOP ${gop} s: the same, worst join`, value: worst, unit: 'ms' },
        { figure: `GOP ${gop} s: the same of viewers who joined at a key frame`, value: atKey, unit: 'ms' },
      ];
    });
  },
};
