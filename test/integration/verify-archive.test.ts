import { join } from 'node:path';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recordCommand } from '../../cli/record.ts';
import { archiveKey } from '../../control-api/archive/keys.ts';
import { systemClock } from '../../core/clock.ts';
import { openDatabase } from '../../platform/database/open.ts';
import { FileSource } from '../../platform/object-store/file-source.ts';
import { MAX_GET_BYTES } from '../../platform/object-store/object-store.ts';
import { S3Store } from '../../platform/object-store/s3-store.ts';
import { TestInstallation } from '../../recorder/integrity/testing-recordings.ts';
import type { SegmentRecord } from '../../recorder/port.ts';
import type { ArchiveReport } from '../../recorder/verify-archive.ts';
import { S3_KINDS } from '../support/s3-binaries.ts';
import { S3Server } from '../support/s3-server.ts';

const NEVER = new AbortController().signal;

describe.each(S3_KINDS)('[REC-8, REC-10] record verify --archive with S3: %s', (kind) => {
  let server: S3Server;
  let installation: TestInstallation;
  let records: readonly SegmentRecord[];

  beforeAll(async () => {
    server = await S3Server.start(kind);
    await server.bucket('recordings');
    installation = await TestInstallation.create();
    await using recorder = await installation.start();
    await recorder.record(8);
    // One that is read in several pieces: twenty samples of half a megabyte.
    await recorder.record(1, { sampleBytes: 530_000 });
    await recorder.close();
    records = recorder.segments();
    expect(records.at(-1)?.bytes).toBeGreaterThan(MAX_GET_BYTES);
    using store = new S3Store({ bucket: 'recordings', prefix: 'plant-1', endpoint: server.endpoint, region: 'us-east-1', credentials: server.credentials, clock: systemClock });
    const db = await openDatabase(join(installation.folder, 'imageflow.db'));
    for (const { id, bytes, sha256, start, duration, sessionId } of records) {
      await using source = await FileSource.open(installation.path(id), bytes, sha256 ?? '');
      await store.put(archiveKey(id) ?? '', source, {}, NEVER);
      await db.insertInto('segments').values({
        id, camera_id: 'cam', session_id: sessionId, epoch: 1, start_ms: start, end_ms: start + duration, bytes, sha256, open: 0, tracks: '[]', gap_before: null, archived_at: 1, local: 0,
      }).execute();
    }
    await db.destroy();
  }, 900_000); // the first time the server is built
  afterAll(async () => {
    await installation[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  const verify = async (): Promise<{ readonly report: ArchiveReport | undefined; readonly said: string; readonly failed: boolean }> => {
    const lines: string[] = [];
    let failed = false;
    await recordCommand({
      env: {
        IMAGEFLOW_DATA_DIR: installation.folder, IMAGEFLOW_ARCHIVE_URL: 's3://recordings/plant-1', IMAGEFLOW_ARCHIVE_ENDPOINT: server.endpoint,
        IMAGEFLOW_ARCHIVE_ACCESS_KEY_ID: server.credentials.accessKeyId, IMAGEFLOW_ARCHIVE_SECRET_ACCESS_KEY: server.credentials.secretAccessKey,
      },
      out: (line) => { lines.push(line); }, err: (line) => { lines.push(line); }, progress: () => undefined, secret: () => Promise.resolve(''), fail: () => { failed = true; },
    }).parseAsync(['node', 'record', 'verify', '--archive', '--json']);
    const [json = ''] = lines;
    return { report: json.startsWith('{') ? JSON.parse(json) as ArchiveReport : undefined, said: lines.join('\n'), failed };
  };

  test('it names the object that is changed, cut or deleted, and no other', async () => {
    const total = records.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(await verify()).toMatchObject({ report: { checked: records.length, bytes: total, problems: [], unsigned: 0, unread: [] }, failed: false });
    const client = server.client();
    const at = (i: number) => {
      const record = records.at(i);
      if (!record) throw new Error('not recorded');
      return { ...record, Bucket: 'recordings', Key: `plant-1/${archiveKey(record.id) ?? ''}` };
    };
    using store = new S3Store({ bucket: 'recordings', prefix: 'plant-1', endpoint: server.endpoint, region: 'us-east-1', credentials: server.credentials, clock: systemClock });
    // With checksums of their own: the store finds nothing wrong with them.
    const [changed, cut, gone] = [at(-1), at(2), at(4)];
    const bytes = Buffer.concat([await store.get(archiveKey(changed.id) ?? '', 0, MAX_GET_BYTES, NEVER), await store.get(archiveKey(changed.id) ?? '', MAX_GET_BYTES, changed.bytes, NEVER)]);
    bytes[MAX_GET_BYTES + 1_000] = (bytes[MAX_GET_BYTES + 1_000] ?? 0) ^ 1;
    await client.send(new PutObjectCommand({ Bucket: changed.Bucket, Key: changed.Key, Body: bytes }));
    await client.send(new PutObjectCommand({ Bucket: cut.Bucket, Key: cut.Key, Body: await store.get(archiveKey(cut.id) ?? '', 0, 900, NEVER) }));
    await client.send(new DeleteObjectCommand({ Bucket: gone.Bucket, Key: gone.Key }));
    client.destroy();
    const { report, failed } = await verify();
    expect(failed).toBe(true);
    expect(report?.problems.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual([
      { id: cut.id, kind: 'truncated', problem: `900 bytes, the index says ${String(cut.bytes)}` }, { id: gone.id, kind: 'missing', problem: 'its object is gone from the archive' },
      { id: changed.id, kind: 'changed', problem: 'SHA-256 differs from the index' },
    ].toSorted((a, b) => (a.id < b.id ? -1 : 1)));
    expect(report).toMatchObject({ checked: records.length, bytes: total - changed.bytes - cut.bytes - gone.bytes });
  });

  test('a store that cannot be asked says so, and nothing is called wrong', { timeout: 170_000 }, async () => {
    await server.kill();
    const { report, said, failed } = await verify();
    expect([report, failed]).toEqual([undefined, true]);
    expect(said).toMatch(/S3|store|ECONNREFUSED|connect/i);
    await server.start();
  });
});
