import { mkdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { verifyRecordings } from '../verify.ts';
import { SegmentChecker } from './segment-check.ts';
import { TestInstallation } from './testing-recordings.ts';

const pinned = async (installation: TestInstallation): Promise<number[]> =>
  ((await installation.manifest()).cameras['cam']?.runs ?? []).flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
const problemsOf = async (installation: TestInstallation) => (await verifyRecordings(installation.recordings, null, { key: installation.key.public })).problems;

test('[REC-10] every file names the one before it and is signed; one signed manifest pins them', async () => {
  await using installation = await TestInstallation.create();
  {
    await using recorder = await installation.start();
    await recorder.record(5);
    await recorder.close();
    const segments = recorder.segments();
    expect(segments.map(({ chain }) => chain)).toEqual(segments.map((_, i) => ({ position: i + 1, previousId: segments[i - 1]?.id ?? null, previousSha256: segments[i - 1]?.sha256 ?? null })));
    const checker = new SegmentChecker(installation.recordings, installation.key.public);
    for (const { id, sha256, bytes } of segments) expect(await checker.check(id)).toMatchObject({ id, sha256, size: bytes, signature: 'valid', saysId: id, defect: null });
  }
  expect(await installation.manifest()).toMatchObject({ stopped: true, cameras: { cam: { next: 6, runs: [{ first: 1, last: 5 }], open: [] } } });
  expect(await problemsOf(installation)).toEqual([]);
});

test('[REC-10] a change is signed within five seconds, and by then a running recorder is told from a stopped one', async () => {
  await using installation = await TestInstallation.create();
  await using recorder = await installation.start();
  expect(await installation.manifest()).toMatchObject({ stopped: false, cameras: {} });
  await recorder.record(2);
  await recorder.close();
  installation.clock.advance(5_000);
  while ((await pinned(installation)).length < 2) await new Promise(setImmediate);
  expect(await problemsOf(installation)).toEqual([]);
});

test('[REC-10] the chain goes on over a restart, and over what a kill cut off: the next one continues the file as it was repaired', async () => {
  await using installation = await TestInstallation.create();
  await using recorder = await installation.start();
  await recorder.record(3);
  await using killed = await installation.copy();
  const open = (await killed.files()).at(-1) ?? '';
  await truncate(killed.path(open), (await stat(killed.path(open))).size - 7);
  expect(await problemsOf(killed)).toEqual([]); // not closed: the next start does that
  {
    await using again = await killed.start();
    const [repaired] = again.segments().slice(-1);
    expect(repaired).toMatchObject({ id: open, open: false, chain: { position: 3 } });
    expect(await new SegmentChecker(killed.recordings, killed.key.public).check(open)).toMatchObject({ signature: 'valid', sha256: repaired?.sha256 });
    await again.record(2);
    expect(again.segments()[3]?.chain).toEqual({ position: 4, previousId: open, previousSha256: repaired?.sha256 });
  }
  expect(await pinned(killed)).toEqual([1, 2, 3, 4, 5]);
  expect(await problemsOf(killed)).toEqual([]);
  expect(killed.alarms).toEqual([]);
});

test('[REC-10] a power cut that also lost the newest manifest and the memory aid costs no trust', async () => {
  await using installation = await TestInstallation.create();
  const first = await (async () => {
    await using recorder = await installation.start();
    await recorder.record(1);
    return await readFile(join(installation.recordings, 'chain.jws'), 'utf8');
  })();
  {
    await using recorder = await installation.start();
    await recorder.record(3);
    await recorder.close();
    await using cut = await installation.copy();
    await writeFile(join(cut.recordings, 'chain.jws'), first);
    await rm(join(cut.recordings, 'cam', 'segments.jsonl'));
    await using again = await cut.start();
    await again.record(1);
    await again[Symbol.asyncDispose]();
    expect(await problemsOf(cut)).toEqual([]);
    expect(cut.alarms).toEqual([]);
  }
});

test('[REC-10] what retention took is not missed, neither after a restart', async () => {
  await using installation = await TestInstallation.create();
  {
    await using recorder = await installation.start({ max_bytes: 1 });
    await recorder.record(4);
    installation.clock.advance(5_000); // a sweep: all but the open one go
    while (recorder.segments().length > 1) await new Promise(setImmediate);
    expect(await problemsOf(installation)).toEqual([]); // their files wait a minute
    await installation.pass(async () => (await installation.files()).length === 1);
    expect(await problemsOf(installation)).toEqual([]);
    await using killed = await installation.copy();
    await using again = await killed.start();
    await again.record(1);
    expect(killed.alarms).toEqual([]);
    expect((await problemsOf(killed)).map(({ id }) => id)).toEqual([]);
  }
  expect(await problemsOf(installation)).toEqual([]);
});

test('[REC-10] what somebody took away is missed at the next start, with an alarm, and stays missed', async () => {
  await using installation = await TestInstallation.create();
  {
    await using recorder = await installation.start();
    await recorder.record(5);
  }
  const [, second = '', , , fifth = ''] = await installation.files();
  await rm(installation.path(second));
  await rm(installation.path(fifth));
  {
    await using again = await installation.start();
    await again.record(1);
    expect(again.segments().at(-1)?.chain).toMatchObject({ position: 6, previousId: fifth });
  }
  expect(installation.alarms).toEqual(['recording_missing']);
  expect(await problemsOf(installation)).toMatchObject([{ id: second, kind: 'missing' }, { id: fifth, kind: 'missing' }]);
});

test('[REC-10] a whole camera taken away is missed', async () => {
  await using installation = await TestInstallation.create();
  {
    await using recorder = await installation.start();
    await recorder.record(2);
  }
  await rm(join(installation.recordings, 'cam'), { recursive: true });
  expect(await problemsOf(installation)).toMatchObject([{ kind: 'missing', id: expect.stringMatching(/^cam/) as string }, { kind: 'missing' }]);
  await using _again = await installation.start();
  expect(installation.alarms).toEqual(['recording_missing']);
});

test('[REC-10] a file put there while the recorder stood still is neither signed nor pinned', async () => {
  await using installation = await TestInstallation.create();
  await using other = await TestInstallation.create();
  for (const each of [installation, other]) {
    await using recorder = await each.start();
    await recorder.record(each === other ? 4 : 3);
  }
  const forged = (await other.files())[3] ?? '';
  const bytes = await readFile(other.path(forged));
  await writeFile(installation.path(forged), bytes); // the next in the row, signed with another key
  const unsigned = forged.replace(/-3$/, '-9');
  await writeFile(installation.path(unsigned), Buffer.from(bytes.subarray(0, bytes.length - 124).toString('latin1').replace(forged, unsigned), 'latin1'));
  expect(await problemsOf(installation)).toMatchObject([{ id: forged, kind: 'unknown' }, { id: unsigned, kind: 'unknown' }]);
  {
    await using again = await installation.start();
    installation.at = 60_000;
    await again.record(1);
  }
  expect(await problemsOf(installation)).toMatchObject([{ id: forged }, { id: unsigned }]);
});

test('[REC-10] without its signed manifest, or with another key, everything is signed anew, and that is said as long as anything of then is there', async () => {
  await using installation = await TestInstallation.create();
  {
    await using recorder = await installation.start();
    await recorder.record(3);
  }
  await rm(join(installation.recordings, 'chain.jws'));
  expect(await problemsOf(installation)).toMatchObject([{ id: 'chain.jws', kind: 'manifest' }]);
  {
    await using again = await installation.start();
    await again.record(1);
    await again.close();
    expect(installation.alarms).toEqual(['recording_unproven']);
    expect((await problemsOf(installation)).map(({ kind }) => kind)).toEqual(['manifest']);
  }
  expect(await problemsOf(installation)).toMatchObject([{ id: 'cam', problem: expect.stringMatching(/signed anew/) as string }]);
  {
    await using again = await installation.start({ max_bytes: 1 });
    await again.record(1);
    installation.clock.advance(5_000);
    while (again.segments().length > 1) await new Promise(setImmediate);
  }
  expect(await problemsOf(installation)).toEqual([]);
});

test('[REC-10] recordings of a version that did not chain stay what they are; the first new one continues the newest of them', async () => {
  await using old = await TestInstallation.create();
  await using installation = await TestInstallation.create();
  {
    await using recorder = await old.start();
    await recorder.record(1);
  }
  const [id = ''] = await old.files();
  const file = (await readFile(old.path(id))).toString('latin1').replace('"chain"', '"chaos"').slice(0, -124);
  await mkdir(join(installation.recordings, 'cam'), { recursive: true });
  await writeFile(installation.path(id), Buffer.from(file, 'latin1'));
  await using recorder = await installation.start();
  installation.at = 60_000;
  await recorder.record(1);
  const [before, after] = recorder.segments();
  expect([before?.chain, after?.chain]).toEqual([undefined, { position: 1, previousId: id, previousSha256: before?.sha256 }]);
  expect(installation.alarms).toEqual([]);
});
