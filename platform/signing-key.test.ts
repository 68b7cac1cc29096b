import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MediaError } from '../core/errors.ts';
import { PublicSigningKey, SigningKey } from './signing-key.ts';

let folder = '';
beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), 'imageflow-key-')); });
afterEach(() => rm(folder, { recursive: true }));

test('[REC-10] the key is made once, by whoever comes first, for its owner alone', async () => {
  const path = join(folder, 'keys', 'recordings.pem');
  const keys = await Promise.all(Array.from({ length: 5 }, () => SigningKey.open(path)));
  expect(new Set(keys.map((key) => key.public.kid)).size).toBe(1);
  expect(await readdir(join(folder, 'keys'))).toEqual(['recordings.pem']);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  await chmod(path, 0o644);
  await SigningKey.open(path);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('a file that is no key is left alone and named', async () => {
  const path = join(folder, 'key.pem');
  await writeFile(path, 'something else');
  await expect(SigningKey.open(path)).rejects.toThrow(path);
});

test('what was signed verifies with the public key, and nothing else does', async () => {
  const key = await SigningKey.open(join(folder, 'key.pem'));
  const others = await SigningKey.open(join(folder, 'other.pem'));
  const known = PublicSigningKey.fromPem(key.public.pem);
  expect(known.kid).toBe(key.public.kid);
  const statement = Buffer.from('this happened');
  expect(known.verify(statement, key.sign(statement))).toBe(true);
  expect(known.verify(Buffer.from('that happened'), key.sign(statement))).toBe(false);
  expect(known.verify(statement, others.sign(statement))).toBe(false);
  const jws = await key.signJws({ a: 1 }, 'x');
  expect(await known.verifyJws(jws)).toEqual({ a: 1 });
  await expect(known.verifyJws(await others.signJws({ a: 1 }, 'x'))).rejects.toThrow(MediaError);
  await fc.assert(fc.asyncProperty(fc.nat(jws.length - 1), fc.constantFrom('A', '.', '*', 'é'), async (at, letter) => {
    const changed = jws.slice(0, at) + letter + jws.slice(at + 1);
    // The last letter of a base64url text may differ in bits that mean nothing.
    const same = changed === jws || (changed.split('.').map((piece) => Buffer.from(piece, 'base64url').toString('hex')).join() === jws.split('.').map((piece) => Buffer.from(piece, 'base64url').toString('hex')).join());
    if (!same) await expect(known.verifyJws(changed)).rejects.toThrow(MediaError);
  }));
  await expect(known.verifyJws('')).rejects.toThrow(MediaError);
});
