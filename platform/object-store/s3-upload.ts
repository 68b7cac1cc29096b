/** Upload in parts (S3 API: multipart upload) that goes on where an earlier one was broken off: the store's list of parts is the only memory. */
import { createHash } from 'node:crypto';
import { AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CreateMultipartUploadCommand, ListMultipartUploadsCommand, ListPartsCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import type { CompletedPart, S3Client } from '@aws-sdk/client-s3';
import { MediaError } from '../../core/errors.ts';
import { checksumMismatch } from './object-store.ts';
import type { ObjectSource, PutOptions } from './object-store.ts';
import { bodyOf } from './s3-sending.ts';
import type { Watchdog } from './watchdog.ts';

export interface S3UploadOptions {
  readonly client: S3Client;
  readonly bucket: string;
  /** As the bucket knows it, prefix and all. */
  readonly key: string;
  readonly source: ObjectSource;
  readonly options: PutOptions;
  readonly partBytes: number;
}

/** Parts per upload (S3). */
const MAX_PARTS = 10_000;

interface KnownPart {
  readonly sha256: string;
  readonly etag: string;
  readonly size: number;
}

export class S3Upload {
  readonly #at: { readonly Bucket: string; readonly Key: string };
  readonly #upload: S3UploadOptions;

  constructor(upload: S3UploadOptions) {
    this.#upload = upload;
    this.#at = { Bucket: upload.bucket, Key: upload.key };
  }

  /** Resolves when the object is there. A failure leaves the parts with the store, for the next attempt; only wrong bytes give them up. */
  async run(watchdog: Watchdog): Promise<void> {
    const { source, key } = this.#upload;
    const partBytes = Math.max(this.#upload.partBytes, Math.ceil(source.size / MAX_PARTS));
    const found = await this.#find(watchdog);
    const id = found ?? (await this.#create(watchdog));
    const known = found === undefined ? new Map<number, KnownPart>() : await this.#parts(id, watchdog);
    const whole = createHash('sha256');
    const parts: CompletedPart[] = [];
    for (let start = 0, number = 1; start < source.size; start += partBytes, number++) {
      const end = Math.min(start + partBytes, source.size);
      // Hashed before it is sent: the store verifies each part as it comes, and a part it has already is not sent again.
      const hash = createHash('sha256');
      for await (const piece of source.read(start, end, watchdog.signal)) {
        hash.update(piece);
        whole.update(piece);
        watchdog.touch();
      }
      const sha256 = hash.digest('base64');
      const there = known.get(number);
      const etag = there?.sha256 === sha256 && there.size === end - start ? there.etag : await this.#send(id, number, start, end, sha256, watchdog);
      parts.push({ PartNumber: number, ETag: etag, ChecksumSHA256: sha256 });
    }
    if (whole.digest('hex') !== source.sha256) {
      await this.#client.send(new AbortMultipartUploadCommand({ ...this.#at, UploadId: id }), { abortSignal: watchdog.signal });
      throw checksumMismatch(key);
    }
    watchdog.touch();
    await this.#client.send(new CompleteMultipartUploadCommand({ ...this.#at, UploadId: id, MultipartUpload: { Parts: parts } }), { abortSignal: watchdog.signal });
  }

  get #client(): S3Client {
    return this.#upload.client;
  }

  /** The newest upload of this key that was begun and not finished. */
  async #find(watchdog: Watchdog): Promise<string | undefined> {
    const { Uploads = [] } = await this.#client.send(new ListMultipartUploadsCommand({ Bucket: this.#at.Bucket, Prefix: this.#at.Key }), { abortSignal: watchdog.signal });
    const mine = Uploads.filter(({ Key, UploadId }) => Key === this.#at.Key && UploadId !== undefined);
    return mine.sort((a, b) => (b.Initiated?.getTime() ?? 0) - (a.Initiated?.getTime() ?? 0))[0]?.UploadId;
  }

  async #create(watchdog: Watchdog): Promise<string> {
    const { source, options } = this.#upload;
    const { UploadId } = await this.#client.send(
      new CreateMultipartUploadCommand({
        ...this.#at, ContentType: 'video/mp4', ChecksumAlgorithm: 'SHA256', Metadata: { sha256: source.sha256 }, ...(options.legalHold === true ? { ObjectLockLegalHoldStatus: 'ON' } : {}),
      }),
      { abortSignal: watchdog.signal },
    );
    if (UploadId === undefined) throw new MediaError('UNAVAILABLE', 'the object store gave no upload id', { reason: 'OBJECT_STORE_UNAVAILABLE' });
    return UploadId;
  }

  async #parts(id: string, watchdog: Watchdog): Promise<Map<number, KnownPart>> {
    const known = new Map<number, KnownPart>();
    for (let after: string | undefined; ;) {
      const page = await this.#client.send(new ListPartsCommand({ ...this.#at, UploadId: id, ...(after === undefined ? {} : { PartNumberMarker: after }) }), { abortSignal: watchdog.signal });
      for (const { PartNumber, ETag, ChecksumSHA256, Size } of page.Parts ?? []) {
        if (PartNumber !== undefined && ETag !== undefined && ChecksumSHA256 !== undefined) known.set(PartNumber, { etag: ETag, sha256: ChecksumSHA256, size: Size ?? 0 });
      }
      if (page.IsTruncated !== true || page.NextPartNumberMarker === undefined || page.NextPartNumberMarker === after) return known;
      after = page.NextPartNumberMarker;
      watchdog.touch();
    }
  }

  async #send(id: string, number: number, start: number, end: number, sha256: string, watchdog: Watchdog): Promise<string> {
    const { source, options } = this.#upload;
    const body = bodyOf(source, start, end, options, watchdog);
    try {
      const { ETag } = await this.#client.send(
        new UploadPartCommand({ ...this.#at, UploadId: id, PartNumber: number, Body: body, ContentLength: end - start, ChecksumSHA256: sha256 }), { abortSignal: watchdog.signal },
      );
      if (ETag === undefined) throw new MediaError('UNAVAILABLE', 'the object store gave no tag of a part', { reason: 'OBJECT_STORE_UNAVAILABLE' });
      return ETag;
    } finally {
      body.destroy();
    }
  }
}
