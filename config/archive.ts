import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { secret } from './marks.ts';

export const ArchiveConfig = z.strictObject({
  url: z.string().optional().describe('Where marked recordings go: `file:/folder` or `s3://bucket/prefix`. Default: `{data_dir}/archive`.'),
  endpoint: z.url({ protocol: /^https?$/ }).optional().describe('Address of the S3 server, e.g. of MinIO; unset: Amazon.'),
  region: z.string().prefault('us-east-1').describe('Region of the bucket; most servers but Amazon take any.'),
  access_key_id: z.string().optional().describe('Access key; unset: what the environment or the machine\'s role gives.'),
  secret_access_key: z.string().optional().meta(secret).describe('Its secret.'),
  max_bits_per_second: z.int().min(64_000).nullable().prefault(null).describe('Uploads together take at most so much; none: no limit.'),
  concurrency: z.int().min(1).max(16).prefault(2).describe('Uploads at a time.'),
  legal_hold: z.boolean().prefault(false).describe('Each object is put under a legal hold: nobody deletes it before that is lifted in the store. Needs S3 and a bucket with Object Lock.'),
  delete_after_hours: z.number().min(0).prefault(7 * 24).describe('What no mark covers any more is deleted from the archive after this.'),
  frames_keep_days: z.number().min(0).prefault(90).describe('Single pictures (cameras with `recording.archive_frames`, or asked for by hand) leave the archive after this.'),
}).superRefine(({ url, access_key_id, secret_access_key, legal_hold, endpoint }, context) => {
  const place = parseArchiveUrl(url ?? 'file:archive');
  if (place === undefined) context.addIssue({ code: 'custom', path: ['url'], message: 'must be file:/folder or s3://bucket or s3://bucket/prefix' });
  if ((access_key_id === undefined) !== (secret_access_key === undefined)) context.addIssue({ code: 'custom', path: [secret_access_key === undefined ? 'secret_access_key' : 'access_key_id'], message: 'an access key and its secret come together' });
  if (place?.kind !== 'file') return;
  if (legal_hold) context.addIssue({ code: 'custom', path: ['legal_hold'], message: 'a directory knows no legal hold; archive.url must be s3://…' });
  if (endpoint !== undefined) context.addIssue({ code: 'custom', path: ['endpoint'], message: 'an endpoint needs archive.url s3://bucket' });
});
export type ArchiveConfig = z.output<typeof ArchiveConfig>;

export type ArchivePlace = { readonly kind: 'file'; readonly path: string } | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string };

/** Bucket names (S3): 3–63 small letters, digits, dots and hyphens. */
const S3_URL = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/;
const PREFIX = /^[A-Za-z0-9_][A-Za-z0-9._=-]*(?:\/[A-Za-z0-9_][A-Za-z0-9._=-]*)*$/;

/** Undefined for what is neither of the two. A relative folder is relative to the working directory. */
export const parseArchiveUrl = (url: string): ArchivePlace | undefined => {
  if (url.startsWith('file:')) {
    try {
      const path = /^file:\/\//.test(url) || /^file:\/[^/]/.test(url) ? fileURLToPath(url) : resolve(url.slice('file:'.length));
      return url === 'file:' ? undefined : { kind: 'file', path };
    } catch {
      return undefined; // another machine's file, or a wrong escape
    }
  }
  const [, bucket, tail = ''] = S3_URL.exec(url) ?? [];
  const prefix = tail.replace(/\/$/, '');
  return bucket === undefined || (prefix !== '' && (prefix.length > 256 || !PREFIX.test(prefix))) ? undefined : { kind: 's3', bucket, prefix };
};
