import { randomUUID } from 'node:crypto';
import { GetObjectLegalHoldCommand, PutObjectLegalHoldCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { S3Store } from '../../platform/object-store/s3-store.ts';
import { bytesOf, objectStoreContract, sourceOf } from '../../platform/object-store/testing/object-store-contract.ts';
import { S3_KINDS } from '../support/s3-binaries.ts';
import { S3Server } from '../support/s3-server.ts';

const PART_BYTES = 5 << 20;
const NEVER = new AbortController().signal;

describe.each(S3_KINDS)('[REC-8] S3: %s', (kind) => {
  let server: S3Server;
  beforeAll(async () => {
    server = await S3Server.start(kind);
    await server.bucket('archive');
    await server.bucket('held', true);
  }, 900_000); // the first time it is built
  afterAll(async () => { await server[Symbol.asyncDispose](); });

  const open = (bucket = 'archive', prefix = randomUUID(), stall = 30_000): S3Store =>
    new S3Store({ bucket, prefix, endpoint: server.endpoint, region: 'us-east-1', credentials: server.credentials, clock: systemClock, partBytes: PART_BYTES, stall });

  objectStoreContract(() => Promise.resolve({ store: open(), partBytes: PART_BYTES }));

  test('an upload broken off goes on behind the parts that had come', async () => {
    const bytes = bytesOf(PART_BYTES * 3 + 1_000);
    const prefix = randomUUID();
    const stop = new AbortController();
    const first = open('archive', prefix).put('a.mp4', sourceOf(bytes, { onRead: (start) => { if (start > PART_BYTES * 2.5) stop.abort(new Error('killed')); } }), {}, stop.signal);
    await expect(first).rejects.toThrow('killed');
    let sent = 0;
    await open('archive', prefix).put('a.mp4', sourceOf(bytes), { pace: (length) => { sent += length; return Promise.resolve(); } }, NEVER);
    expect(sent).toBe(PART_BYTES + 1_000);
    const store = open('archive', prefix);
    expect(await store.head('a.mp4', NEVER)).toMatchObject({ size: bytes.length, sha256: sourceOf(bytes).sha256 });
    for (const at of [0, PART_BYTES, PART_BYTES * 2, PART_BYTES * 3]) expect((await store.get('a.mp4', at, at + 500, NEVER)).equals(bytes.subarray(at, at + 500))).toBe(true);
  });

  test('what was begun long ago and never finished is given up', async () => {
    const prefix = randomUUID();
    const stop = new AbortController();
    const bytes = bytesOf(PART_BYTES * 2);
    await expect(open('archive', prefix).put('a.mp4', sourceOf(bytes, { onRead: (start) => { if (start > PART_BYTES * 1.5) stop.abort(new Error('killed')); } }), {}, stop.signal)).rejects.toThrow('killed');
    const store = open('archive', prefix);
    expect(await store.abortStale(Date.now() - 3_600_000, NEVER)).toBe(0);
    // MinIO lists uploads by their exact key only, and gives them up by itself after a day.
    expect(await store.abortStale(Date.now() + 3_600_000, NEVER)).toBe(kind === 'minio' ? 0 : 1);
    expect(await store.abortStale(Date.now() + 3_600_000, NEVER)).toBe(0);
  });

  test('killed in the middle of an upload: the object is not there, and is once the server is back', async () => {
    const bytes = bytesOf(PART_BYTES * 3);
    const store = open('archive', randomUUID(), 5_000);
    let killed: Promise<void> | undefined;
    const pace = async (): Promise<void> => {
      sent++;
      if (sent === 30) await (killed = server.kill());
    };
    let sent = 0;
    await expect(store.put('a.mp4', sourceOf(bytes), { pace }, NEVER)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await killed;
    await expect(store.head('a.mp4', NEVER)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await server.start();
    expect(await store.head('a.mp4', NEVER)).toBeUndefined();
    await store.put('a.mp4', sourceOf(bytes), {}, NEVER);
    expect(await store.head('a.mp4', NEVER)).toMatchObject({ size: bytes.length });
  });

  test('a server that takes connections and answers nothing is given up after the deadline', async () => {
    const store = open('archive', randomUUID(), 1_000);
    await store.put('a.mp4', sourceOf(bytesOf(1_000)), {}, NEVER);
    server.pause();
    try {
      await expect(store.head('a.mp4', NEVER)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
      await expect(store.get('a.mp4', 0, 10, NEVER)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
      await expect(store.put('b.mp4', sourceOf(bytesOf(PART_BYTES * 2)), {}, NEVER)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    } finally {
      server.resume();
    }
    expect((await store.get('a.mp4', 0, 10, NEVER)).length).toBe(10);
  });

  test('an object under a legal hold is not deleted before the hold is lifted; then all its versions go', async () => {
    const prefix = randomUUID();
    const store = open('held', prefix);
    for (const [key, size] of [['small.mp4', 1_000], ['large.mp4', PART_BYTES + 1_000]] as const) {
      await store.put(key, sourceOf(bytesOf(size)), { legalHold: true }, NEVER);
      expect(await store.head(key, NEVER)).toMatchObject({ locked: true });
      await expect(store.delete(key, NEVER)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'OBJECT_LOCKED' });
      expect((await store.get(key, 0, 10, NEVER)).equals(bytesOf(10))).toBe(true);
      const client = server.client();
      const at = { Bucket: 'held', Key: `${prefix}/${key}` };
      expect((await client.send(new GetObjectLegalHoldCommand(at))).LegalHold?.Status).toBe('ON');
      await client.send(new PutObjectLegalHoldCommand({ ...at, LegalHold: { Status: 'OFF' } }));
      client.destroy();
      await store.put(key, sourceOf(bytesOf(size, 3)), {}, NEVER);
      await store.delete(key, NEVER);
      expect(await store.head(key, NEVER)).toBeUndefined();
    }
  });

  test('a wrong key, a bucket that is not there and a server that is none are told apart', async () => {
    const denied = new S3Store({ bucket: 'archive', prefix: '', endpoint: server.endpoint, region: 'us-east-1', credentials: { accessKeyId: 'nobody', secretAccessKey: 'nothing-at-all' }, clock: systemClock });
    for (const asked of [() => denied.put('a.mp4', sourceOf(bytesOf(10)), {}, NEVER), () => denied.get('a.mp4', 0, 1, NEVER), () => denied.delete('a.mp4', NEVER), () => denied.list('', undefined, NEVER)]) await expect(asked()).rejects.toMatchObject({ code: 'PERMISSION_DENIED', reason: 'OBJECT_STORE_DENIED' });
    await expect(open('no-such-bucket').put('a.mp4', sourceOf(bytesOf(10)), {}, NEVER)).rejects.toMatchObject({ reason: 'BUCKET_NOT_FOUND' });
    const nobody = new S3Store({ bucket: 'archive', prefix: '', endpoint: 'http://127.0.0.1:9', region: 'us-east-1', credentials: server.credentials, clock: systemClock });
    await expect(nobody.head('a.mp4', NEVER)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
