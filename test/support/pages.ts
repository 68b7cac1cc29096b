/** What tests of the pages have in common. */
import type { Page } from 'playwright-core';
import type { TestServer } from './server.ts';

/** Opens a page of the server as somebody who is logged in; the admin unless a token is given. */
export const openAs = async (page: Page, server: TestServer, path: string, token = server.token): Promise<void> => {
  if (!page.url().startsWith(server.http)) await page.goto(server.http);
  await page.evaluate((value) => { localStorage.setItem('imageflow.access_token', value); }, token);
  await page.goto(`${server.http}${path}`);
};

/** By how many pixels a page is wider than what shows it. */
export const sideways = (page: Page): Promise<number> => page.evaluate(() => (document.scrollingElement?.scrollWidth ?? Infinity) - innerWidth);

/** Buttons, links and fields in sight that are lower than 40 pixels or cover each other, by their words; those on the time line are as wide as their time. */
export const clumsyTargets = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const all = [...document.querySelectorAll<HTMLElement>('main button, main a, main select, main input, main textarea, main summary, main .segmented label')]
      .filter((each) => each.closest('.timeline') === null && !each.matches('.segmented input') && each.checkVisibility());
    const boxes = all.map((each) => (each.matches('input[type=checkbox]') ? each.closest('label') ?? each : each)).map((each) => ({ each, box: each.getBoundingClientRect() }));
    const words = (each: Element): string => `${each.tagName} ${(each.getAttribute('aria-label') ?? each.getAttribute('name') ?? each.textContent).slice(0, 30)}`;
    const low = boxes.filter(({ box }) => box.height < 39.5).map(({ each, box }) => `${words(each)}: ${String(Math.round(box.height))} px high`);
    const covered = boxes.flatMap(({ each, box }, i) => boxes.slice(i + 1)
      .filter(({ each: other, box: its }) => !each.contains(other) && !other.contains(each) && box.left < its.right - 1 && its.left < box.right - 1 && box.top < its.bottom - 1 && its.top < box.bottom - 1)
      .map(({ each: other }) => `${words(each)} covers ${words(other)}`));
    return [...low, ...covered];
  });
