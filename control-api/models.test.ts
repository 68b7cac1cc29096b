import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FakeClock } from '../core/testing-clock.ts';
import { DirectoryModelCatalogue } from './models.ts';

test('[INF-3][INF-4] a camera may name whatever the worker makes a model of: files, and servers that a file names; sidecars are none', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'if-catalogue-'));
  using _folder = { [Symbol.dispose]: () => { rmSync(folder, { recursive: true, force: true }); } };
  for (const file of ['b.onnx', 'a.int8.u8.onnx', 'a.int8.u8.json', 'a.int8.u8.labels.json', 'far.kserve.json', 'b.kserve.json', '.onnx', 'notes.txt']) writeFileSync(join(folder, file), '');
  const clock = new FakeClock();
  const catalogue = new DirectoryModelCatalogue([folder, join(folder, 'not there')], clock);
  expect(await catalogue.names()).toEqual(['a.int8.u8', 'b', 'far']);
  writeFileSync(join(folder, 'new.onnx'), '');
  expect(await catalogue.names()).toHaveLength(3);
  clock.advance(1000);
  expect(await catalogue.names()).toEqual(['a.int8.u8', 'b', 'far', 'new']);
});
