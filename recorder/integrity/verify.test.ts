import { appendFile, copyFile, cp, mkdtemp, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SegmentRecord } from '../port.ts';
import { verifyRecordings } from '../verify.ts';
import { TestInstallation } from './testing-recordings.ts';

let installation: TestInstallation;
let records: readonly SegmentRecord[];
let ids: readonly string[];

/** A past as recordings have one: killed and repaired, the camera came back, the oldest were given up, then a clean stop. */
beforeAll(async () => {
  await using before = await TestInstallation.create();
  await using recorder = await before.start();
  await recorder.record(6);
  installation = await before.copy();
  const torn = (await installation.files()).at(-1) ?? '';
  await truncate(installation.path(torn), (await stat(installation.path(torn))).size - 9);
  {
    await using again = await installation.start({ max_bytes: 9 * 1_700 });
    expect(again.segments().length).toBe(6);
    await again.record(3);
    await again.close();
    installation.at += 30_000;
    await again.record(4);
    await again.close();
    await installation.pass(async () => (await installation.files()).length === again.segments().length);
    records = again.segments();
  }
  ids = await installation.files();
  expect(records.map(({ id }) => id)).toEqual(ids);
  expect(ids.length).toBeGreaterThan(5);
});
afterAll(() => installation[Symbol.asyncDispose]());

interface Place { readonly folder: string; readonly path: (id: string) => string }

/** What can be done to a recording; returns the ids that verify must name. */
type Tampering = (place: Place, id: string, other: string, at: number) => Promise<readonly string[]>;
/** A name that no recording has, in the row of the others. */
const strange = (id: string): string => id.replace(/-\w+-\d+$/, '-stranger-7');

const TAMPERINGS: Readonly<Record<string, Tampering>> = {
  'changes a byte': async ({ path }, id, _, at) => {
    const bytes = await readFile(path(id));
    bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ (1 + (at % 255));
    await writeFile(path(id), bytes);
    return [id];
  },
  'cuts it': async ({ path }, id, _, at) => {
    await truncate(path(id), at % (await stat(path(id))).size);
    return [id];
  },
  'adds to it': async ({ path }, id, _, at) => {
    await appendFile(path(id), Buffer.alloc(1 + (at % 300), at));
    return [id];
  },
  'deletes it': async ({ path }, id) => {
    await rm(path(id));
    return [id];
  },
  'puts another in its place': async ({ path }, id, other) => {
    await copyFile(path(other), path(id));
    return [id];
  },
  'exchanges two': async ({ path, folder }, id, other) => {
    await rename(path(id), join(folder, 'between'));
    await rename(path(other), path(id));
    await rename(join(folder, 'between'), path(other));
    return [id, other];
  },
  'puts one in between': async ({ path }, id) => {
    await copyFile(path(id), path(strange(id)));
    return [strange(id)];
  },
  'renames it': async ({ path }, id) => {
    await rename(path(id), path(strange(id)));
    return [id, strange(id)];
  },
};

const tampered = fc.array(fc.record({ what: fc.constantFrom(...Object.keys(TAMPERINGS)), which: fc.nat(), other: fc.nat(), at: fc.nat() }), { maxLength: 3 });

test('[REC-10] whatever somebody does to the files, verify names these and no others; untouched, it names none', { timeout: 60_000 }, async () => {
  await fc.assert(fc.asyncProperty(tampered, fc.boolean(), fc.boolean(), async (steps, withIndex, withMemoryAid) => {
    const folder = await mkdtemp(join(tmpdir(), 'imageflow-tampered-'));
    try {
      await cp(installation.recordings, folder, { recursive: true });
      if (!withMemoryAid) await rm(join(folder, 'cam', 'segments.jsonl'));
      const place = { folder, path: (id: string) => join(folder, `${id}.mp4`) };
      const left = [...ids];
      const expected = new Set<string>();
      for (const { what, which, other, at } of steps) {
        // Each recording suffers one thing only, so that it is known what must be said of it.
        const [id = ''] = left.splice(which % left.length, 1);
        const [second = ''] = left.splice(other % left.length, 1);
        for (const named of (await TAMPERINGS[what]?.(place, id, second, at)) ?? []) expected.add(named);
      }
      const { problems } = await verifyRecordings(folder, withIndex ? records : null, { key: installation.key.public });
      const named = new Set(problems.map(({ id }) => id));
      if (withIndex || withMemoryAid) expect([...named].sort()).toEqual([...expected].sort());
      else {
        // Of two in a row that are gone nothing left names the first; it is counted at best. One alone is always named.
        for (const id of named) if (id !== 'cam') expect(expected).toContain(id);
        expect(named.size > 0).toBe(expected.size > 0);
        if (steps.length === 1) expect(named).toEqual(expected);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  }), { numRuns: 80 });
});

test('[REC-10] several threads say the same as one', async () => {
  await using copy = await installation.copy();
  const [first = '', , second = ''] = ids;
  await appendFile(copy.path(first), 'x');
  await rm(copy.path(second));
  const options = { key: copy.key.public };
  const alone = await verifyRecordings(copy.recordings, null, { ...options, threads: 0 });
  const progress: number[] = [];
  const together = await verifyRecordings(copy.recordings, null, { ...options, threads: 3, onProgress: ({ done }) => { progress.push(done); } });
  expect(together).toEqual(alone);
  expect(alone.problems.map(({ id, kind }) => [id, kind])).toEqual([[first, 'changed'], [second, 'missing']]);
  expect(progress).toEqual(Array.from({ length: ids.length - 1 }, (_, i) => i + 1));
  const stop = AbortSignal.abort(new Error('enough'));
  await expect(verifyRecordings(copy.recordings, null, { ...options, threads: 3, signal: stop })).rejects.toThrow('enough');
});

test('[REC-10] an index that was changed to fit a changed file does not help', async () => {
  await using copy = await installation.copy();
  const [id = ''] = ids;
  await appendFile(copy.path(id), 'x');
  const bytes = await readFile(copy.path(id));
  const forged = records.map((record) => (record.id === id ? { ...record, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') } : record));
  expect((await verifyRecordings(copy.recordings, forged, { key: copy.key.public })).problems).toMatchObject([{ id, kind: 'changed' }]);
  const hidden = records.map((record) => (record.id === id ? { ...record, open: true, sha256: null } : record));
  expect((await verifyRecordings(copy.recordings, hidden, { key: copy.key.public })).problems).toMatchObject([{ id, kind: 'changed' }]);
});

test('[REC-10] what changes while it is verified is no problem: a recorder goes on, retention takes', async () => {
  await using copy = await installation.copy();
  const bytes = records.reduce((sum, record) => sum + record.bytes, 0);
  await using recorder = await copy.start({ max_bytes: bytes });
  await recorder.record(2);
  const known = new Map<string, SegmentRecord>();
  /** As the database has it: what was given up is still known. */
  const index = () => {
    for (const record of recorder.segments()) known.set(record.id, record);
    const listed = new Set(recorder.segments().map(({ id }) => id));
    return [...known.values()].map((record) => ({ ...record, gone: !listed.has(record.id) }));
  };
  const before = await copy.files();
  const taken = before.at(-2) ?? '';
  await rm(copy.path(taken));
  const report = await verifyRecordings(copy.recordings, index(), {
    key: copy.key.public, threads: 2,
    again: async () => {
      await recorder.record(1);
      await copy.pass(async () => !(await copy.files()).includes(before[0] ?? ''));
      return index();
    },
  });
  expect(report.problems).toMatchObject([{ id: taken, kind: 'missing' }]);
});
