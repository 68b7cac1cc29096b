import { join } from 'node:path';
import { expect, test } from 'vitest';
import fc from 'fast-check';
import { parseArchiveUrl } from './archive.ts';
import { Config } from './schema.ts';
import { withoutSecrets } from './secrets.ts';

test('[REC-8] archive.url is a folder or a bucket with a prefix', () => {
  expect(parseArchiveUrl('file:/mnt/nas/archive')).toEqual({ kind: 'file', path: '/mnt/nas/archive' });
  expect(parseArchiveUrl('file:///mnt/nas/our%20archive')).toEqual({ kind: 'file', path: '/mnt/nas/our archive' });
  expect(parseArchiveUrl('file:archive')).toEqual({ kind: 'file', path: join(process.cwd(), 'archive') });
  expect(parseArchiveUrl('s3://recordings')).toEqual({ kind: 's3', bucket: 'recordings', prefix: '' });
  expect(parseArchiveUrl('s3://recordings/')).toEqual({ kind: 's3', bucket: 'recordings', prefix: '' });
  expect(parseArchiveUrl('s3://my.bucket-1/plant-1/line_2/')).toEqual({ kind: 's3', bucket: 'my.bucket-1', prefix: 'plant-1/line_2' });
  for (const url of ['', 'file:', 'file://host/share', 's3://', 's3://B', 's3://bucket//a', 's3://bucket/../a', 's3://bucket/a b', 'http://minio/bucket', '/mnt/nas']) expect(parseArchiveUrl(url), url).toBeUndefined();
});

test('any text is a place or none', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.string().map((text) => `file:${text}`), fc.string().map((text) => `s3://${text}`)), (url) => {
    const place = parseArchiveUrl(url);
    if (place?.kind === 's3') expect(`s3://${place.bucket}/${place.prefix}`).not.toMatch(/\.\.\/|\/\.\./);
  }));
});

test('what cannot go together is refused by name, and the secret is never shown', () => {
  const issues = (archive: Record<string, unknown>): string[] => Config.safeParse({ archive }).error?.issues.map(({ path }) => path.join('.')) ?? [];
  expect(issues({ url: 's3://recordings', endpoint: 'http://minio:9000', access_key_id: 'a', secret_access_key: 'b', legal_hold: true })).toEqual([]);
  expect(issues({ url: 'nowhere' })).toEqual(['archive.url']);
  expect(issues({ url: 's3://recordings', access_key_id: 'a' })).toEqual(['archive.secret_access_key']);
  expect(issues({ url: 's3://recordings', secret_access_key: 'a' })).toEqual(['archive.access_key_id']);
  expect(issues({ legal_hold: true })).toEqual(['archive.legal_hold']);
  expect(issues({ url: 'file:/mnt', endpoint: 'http://minio:9000' })).toEqual(['archive.endpoint']);
  expect(issues({ url: 's3://recordings', endpoint: 'ftp://minio' })).toEqual(['archive.endpoint']);
  const shown = withoutSecrets(Config.parse({ archive: { url: 's3://recordings', access_key_id: 'a', secret_access_key: 'hunter2' } }));
  expect(shown).toMatchObject({ archive: { access_key_id: 'a', secret_access_key: '(set)' } });
});
