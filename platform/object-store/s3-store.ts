/** `ObjectStore` in a bucket of anything that speaks Amazon's S3 API (2006-03-01): tested on MinIO and the Versity gateway. */
import type { Readable } from 'node:stream';
import {
  DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command, PutObjectCommand, S3Client, AbortMultipartUploadCommand,
} from '@aws-sdk/client-s3';
import type { HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { MAX_GET_BYTES, checkKey, checkRange, locked } from './object-store.ts';
import type { ObjectHead, ObjectPage, ObjectSource, ObjectStore, PutOptions } from './object-store.ts';
import { isAbsent, statusOf, toStoreError } from './s3-errors.ts';
import { bodyOf } from './s3-sending.ts';
import { S3Upload } from './s3-upload.ts';
import { STALL, Watchdog } from './watchdog.ts';

export interface S3StoreOptions {
  readonly bucket: string;
  /** Before every key, without slashes at its ends; empty: none. */
  readonly prefix: string;
  /** Absent: Amazon's own. */
  readonly endpoint?: string | undefined;
  readonly region: string;
  /** Absent: what the environment, shared files or the machine's role give. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  readonly clock: Clock;
  /** No byte moved for so long: given up. */
  readonly stall?: Milliseconds;
  /** Larger objects go in parts of so many bytes; at least 5 MiB (S3), save the last. */
  readonly partBytes?: number;
}

const PART_BYTES = 16 << 20;
/** Connections at a time, for uploads and players together. */
const MAX_SOCKETS = 32;
const CONNECT_MS: Milliseconds = 5_000;
/** Versions of one object: two uploads of the same segment make two where versioning is on. */
const MAX_VERSIONS = 16;
/** What went wrong is thrown; the client would print it, too. */
const SILENT = { trace: () => undefined, debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const HEX_SHA256 = /^[0-9a-f]{64}$/;

export class S3Store implements ObjectStore {
  readonly place: string;
  readonly holds = true;
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #stall: Milliseconds;
  readonly #partBytes: number;

  constructor(options: S3StoreOptions) {
    const { bucket, prefix, endpoint, region, credentials, clock } = options;
    this.place = `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}${endpoint === undefined ? '' : ` at ${new URL(endpoint).origin}`}`;
    this.#bucket = bucket;
    this.#prefix = prefix === '' ? '' : `${prefix}/`;
    this.#clock = clock;
    this.#stall = options.stall ?? STALL;
    this.#partBytes = options.partBytes ?? PART_BYTES;
    this.#client = new S3Client({
      region, logger: SILENT, forcePathStyle: endpoint !== undefined, maxAttempts: 1, // whoever calls knows when to try again
      requestHandler: { connectionTimeout: CONNECT_MS, httpAgent: { keepAlive: true, maxSockets: MAX_SOCKETS }, httpsAgent: { keepAlive: true, maxSockets: MAX_SOCKETS } },
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(credentials === undefined ? {} : { credentials: { ...credentials } }),
    });
  }

  async put(key: string, source: ObjectSource, options: PutOptions, signal: AbortSignal): Promise<void> {
    checkKey(key);
    if (source.size > this.#partBytes) {
      const upload = new S3Upload({ client: this.#client, bucket: this.#bucket, key: this.#key(key), source, options, partBytes: this.#partBytes });
      await this.#watched(key, signal, (watchdog) => upload.run(watchdog));
      return;
    }
    await this.#watched(key, signal, async (watchdog) => {
      const body = bodyOf(source, 0, source.size, options, watchdog);
      try {
        await this.#client.send(
          new PutObjectCommand({
            Bucket: this.#bucket, Key: this.#key(key), Body: body, ContentLength: source.size, ContentType: 'video/mp4', Metadata: { sha256: source.sha256 },
            ChecksumSHA256: Buffer.from(source.sha256, 'hex').toString('base64'), ...(options.legalHold === true ? { ObjectLockLegalHoldStatus: 'ON' as const } : {}),
          }),
          { abortSignal: watchdog.signal },
        );
      } finally {
        body.destroy();
      }
    });
  }

  async get(key: string, start: number, end: number, signal: AbortSignal): Promise<Buffer> {
    checkKey(key);
    checkRange(start, end);
    return this.#watched(key, signal, async (watchdog) => {
      const { Body } = await this.#client.send(
        new GetObjectCommand({ Bucket: this.#bucket, Key: this.#key(key), Range: `bytes=${start}-${end - 1}` }), { abortSignal: watchdog.signal },
      ).catch((error: unknown) => { throw statusOf(error) === 416 ? new MediaError('NOT_FOUND', 'the object is shorter', { reason: 'OBJECT_RANGE', context: { key }, cause: error }) : error; });
      const pieces: Buffer[] = [];
      let length = 0;
      for await (const piece of Body as Readable as AsyncIterable<Buffer>) {
        watchdog.touch();
        watchdog.signal.throwIfAborted();
        length += piece.length;
        if (length > MAX_GET_BYTES) break;
        pieces.push(piece);
      }
      if (length !== end - start) throw new MediaError('NOT_FOUND', 'the object is shorter', { reason: 'OBJECT_RANGE', context: { key } });
      return Buffer.concat(pieces, length);
    });
  }

  async head(key: string, signal: AbortSignal): Promise<ObjectHead | undefined> {
    checkKey(key);
    const found = await this.#head(key, signal);
    if (found === undefined) return undefined;
    const sha256 = found.Metadata?.['sha256'];
    return {
      key, size: found.ContentLength ?? 0, modified: found.LastModified?.getTime() ?? 0, sha256: sha256 !== undefined && HEX_SHA256.test(sha256) ? sha256 : undefined, locked: this.#isLocked(found),
    };
  }

  async list(prefix: string, after: string | undefined, signal: AbortSignal): Promise<ObjectPage> {
    return this.#watched(prefix, signal, async (watchdog) => {
      const page = await this.#client.send(
        new ListObjectsV2Command({ Bucket: this.#bucket, Prefix: this.#key(prefix), ...(after === undefined ? {} : { StartAfter: this.#key(after) }) }), { abortSignal: watchdog.signal },
      );
      const items = (page.Contents ?? []).flatMap(({ Key, Size, LastModified }) =>
        Key === undefined || Key.endsWith('/') ? [] : [{ key: Key.slice(this.#prefix.length), size: Size ?? 0, modified: LastModified?.getTime() ?? 0 }]);
      const last = page.Contents?.at(-1)?.Key;
      return { items, next: page.IsTruncated === true ? last?.slice(this.#prefix.length) : undefined };
    });
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    checkKey(key);
    // Where versions are kept, deleting by key alone would only hide the object, and not even a lock would refuse that.
    for (let i = 0; i < MAX_VERSIONS; i++) {
      const found = await this.#head(key, signal);
      if (found === undefined) {
        // A HEAD that finds nothing may also mean that we are not known there; a list says so.
        if (i === 0) await this.list(key, undefined, signal);
        return;
      }
      if (this.#isLocked(found)) throw locked(key);
      const version = found.VersionId;
      await this.#watched(key, signal, (watchdog) => this.#client.send(
        new DeleteObjectCommand({ Bucket: this.#bucket, Key: this.#key(key), ...(version === undefined || version === 'null' ? {} : { VersionId: version }) }), { abortSignal: watchdog.signal },
      ));
    }
  }

  async abortStale(cutoff: Milliseconds, signal: AbortSignal): Promise<number> {
    return this.#watched('', signal, async (watchdog) => {
      let aborted = 0;
      // What is aborted is listed no more: one page, again and again, until none of it is old.
      for (let round = 0; round < 100; round++) {
        const { Uploads = [] } = await this.#client.send(new ListMultipartUploadsCommand({ Bucket: this.#bucket, Prefix: this.#prefix }), { abortSignal: watchdog.signal });
        const old = Uploads.filter(({ Initiated }) => Initiated !== undefined && Initiated.getTime() < cutoff);
        if (old.length === 0) break;
        for (const { Key, UploadId } of old) {
          await this.#client.send(new AbortMultipartUploadCommand({ Bucket: this.#bucket, Key, UploadId }), { abortSignal: watchdog.signal });
          watchdog.touch();
          aborted++;
        }
      }
      return aborted;
    });
  }

  [Symbol.dispose](): void {
    this.#client.destroy();
  }

  #key(key: string): string {
    return this.#prefix + key;
  }

  async #head(key: string, signal: AbortSignal): Promise<HeadObjectCommandOutput | undefined> {
    return this.#watched(key, signal, async (watchdog) => {
      try {
        return await this.#client.send(new HeadObjectCommand({ Bucket: this.#bucket, Key: this.#key(key) }), { abortSignal: watchdog.signal });
      } catch (error) {
        if (isAbsent(error)) return undefined;
        throw error;
      }
    });
  }

  #isLocked({ ObjectLockLegalHoldStatus, ObjectLockRetainUntilDate }: HeadObjectCommandOutput): boolean {
    return ObjectLockLegalHoldStatus === 'ON' || (ObjectLockRetainUntilDate !== undefined && ObjectLockRetainUntilDate.getTime() > this.#clock.now());
  }

  async #watched<T>(key: string, signal: AbortSignal, work: (watchdog: Watchdog) => Promise<T>): Promise<T> {
    using watchdog = new Watchdog(this.#clock, this.#stall, signal);
    try {
      return await work(watchdog);
    } catch (error) {
      // The client says only that it was aborted; the signal knows why.
      if (signal.aborted) throw signal.reason;
      if (watchdog.signal.aborted) throw watchdog.signal.reason;
      throw toStoreError(error, key);
    }
  }
}
