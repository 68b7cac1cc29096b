import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { FakeClock } from '../core/testing-clock.ts';
import { DirectoryModelCatalogue } from './models.ts';

test('[INF-3] [INF-4] cameras may use every model file of the folders, whoever runs it, and nothing else that lies there', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'if-catalogue-'));
  onTestFinished(() => { rmSync(folder, { recursive: true }); });
  const [product, own] = [join(folder, 'product'), join(folder, 'own')];
  mkdirSync(product);
  mkdirSync(own);
  for (const file of ['a.int8.onnx', 'coco80.labels.json']) writeFileSync(join(product, file), '');
  for (const file of ['far.kserve.json', 'a.int8.onnx', 'a.int8.json', '.hidden.onnx', 'b.onnx.part']) writeFileSync(join(own, file), '');
  const clock = new FakeClock();
  const catalogue = new DirectoryModelCatalogue([product, own, join(folder, 'none')], clock);
  expect(await catalogue.names()).toEqual(['a.int8', 'far']);
  writeFileSync(join(own, 'b.onnx'), '');
  expect(await catalogue.names()).toEqual(['a.int8', 'far']); // not read again at once
  catalogue.forget();
  expect(await catalogue.names()).toEqual(['a.int8', 'b', 'far']);
  writeFileSync(join(own, 'c.onnx'), '');
  clock.advance(1_000);
  expect(await catalogue.names()).toEqual(['a.int8', 'b', 'c', 'far']);
});
