import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { BlackBox } from './black-box.ts';

test('[EXT-7] what the child noted last is read by the edge, also after the file has lost its name', () => {
  using edge = BlackBox.create();
  expect(edge.read()).toBeNull();
  using child = BlackBox.open(edge.path);
  expect(existsSync(edge.path)).toBe(false);
  child.enter(0);
  expect(edge.read()).toBe(0);
  child.enter(70_000);
  expect(edge.read()).toBe(70_000);
  child.leave();
  expect(edge.read()).toBeNull();
});
