import { readFile } from 'node:fs/promises';
import { expect } from 'vitest';
import type { Page } from 'playwright-core';
import { countedFrames, mediabunnyTimes, packetsOf } from './mp4-packets.ts';
import { playToEnd } from './video-player.ts';
import type { VideoPlayed } from './video-player.ts';

export interface PlayedEverywhere extends VideoPlayed {
  /** Pictures that ffprobe decodes: all that a player shows. */
  readonly counted: number;
}

/** A player in a hurry leaves out some. */
const SHOWN = 0.95;
const ADDRESS = '/a-file-of-a-test.mp4';

/**
 * Expects that a file with pictures plays for three that share no code: `ffprobe -count_frames` decodes every picture that is to be shown,
 * mediabunny finds every picture that is in it, no two at the same time, and Chromium, in `page`, plays it to its end.
 */
export const expectPlaysEverywhere = async (page: Page, path: string): Promise<PlayedEverywhere> => {
  const packets = await packetsOf(path);
  const counted = await countedFrames(path);
  expect(counted, `${path}: decoded by ffprobe`).toBe(packets.filter(({ shown }) => shown).length);
  expect(counted, `${path}: pictures`).toBeGreaterThan(0);

  const times = await mediabunnyTimes(path);
  expect(times.length, `${path}: found by mediabunny`).toBe(packets.length);
  expect(new Set(times).size, `${path}: times, by mediabunny`).toBe(times.length);

  const url = new URL(ADDRESS, page.url()).href;
  await page.route(url, async (route) => { await route.fulfill({ contentType: 'video/mp4', body: await readFile(path) }); });
  const played = await playToEnd(page, url);
  await page.unroute(url);
  expect(played.error, `${path}: Chromium`).toBeNull();
  expect(played.pictures, `${path}: shown by Chromium`).toBeGreaterThanOrEqual(Math.floor(counted * SHOWN) - 1);
  return { ...played, counted };
};
