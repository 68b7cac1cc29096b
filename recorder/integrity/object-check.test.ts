import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkObject } from './object-check.ts';
import { SegmentChecker } from './segment-check.ts';
import { TestInstallation } from './testing-recordings.ts';

let installation: TestInstallation;
let ids: readonly string[];
beforeAll(async () => {
  installation = await TestInstallation.create();
  await using recorder = await installation.start();
  await recorder.record(2);
  await recorder.close();
  ids = await installation.files();
});
afterAll(() => installation[Symbol.asyncDispose]());

/** Where the last part of the second file begins: its head is whole in any longer piece. */
const HEAD = 1_300;
const check = (id: string, bytes: Buffer, piece: number) => checkObject(id, bytes.length, (start, end) => Promise.resolve(Buffer.from(bytes.subarray(start, end))), piece, installation.key.public);

test('[REC-10] an object says what its file says, in pieces of whatever length', async () => {
  const checker = new SegmentChecker(installation.recordings, installation.key.public);
  for (const id of ids) {
    const bytes = await readFile(installation.path(id));
    const expected = await checker.check(id);
    expect(expected).toMatchObject({ signature: 'valid', saysId: id, defect: null });
    await fc.assert(fc.asyncProperty(fc.integer({ min: HEAD, max: bytes.length + 10 }), async (piece) => { expect(await check(id, bytes, piece)).toEqual(expected); }));
  }
});

test('[REC-10] any bytes are an object that says what it is, and never a crash', async () => {
  const bytes = await readFile(installation.path(ids[0] ?? ''));
  const junk = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, change]) => { const changed = Buffer.from(bytes); changed[at] = (changed[at] ?? 0) ^ change; return changed; }),
    fc.nat(bytes.length - 1).map((length) => bytes.subarray(0, length)),
  );
  await fc.assert(fc.asyncProperty(junk, fc.integer({ min: 1, max: 4_000 }), async (content, piece) => {
    expect((await check(ids[0] ?? '', Buffer.from(content), piece)).signature).not.toBe('valid');
  }), { numRuns: 300 });
});
