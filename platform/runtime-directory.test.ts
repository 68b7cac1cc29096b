import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Config } from '../config/schema.ts';
import { internalAddresses, internalToken, runtimeDirectory, socketAddress } from './runtime-directory.ts';

let folder: string;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'if-run-')); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

test('the folder is private, short, and the same for the same data', () => {
  const env = { XDG_RUNTIME_DIR: folder };
  const directory = runtimeDirectory('a/data', env);
  expect(runtimeDirectory('a/data', env)).toBe(directory);
  expect(runtimeDirectory('other/data', env)).not.toBe(directory);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  expect(Buffer.byteLength(socketAddress(directory, 'control'))).toBeLessThan(105);
});

test('a folder that others may enter is refused', () => {
  const env = { XDG_RUNTIME_DIR: folder };
  chmodSync(runtimeDirectory('data', env), 0o755);
  expect(() => runtimeDirectory('data', env)).toThrow(/0700/);
});

test('a socket path that would be cut off is refused', () => {
  expect(() => socketAddress(join(folder, 'x'.repeat(100)), 'control')).toThrow(/too long/);
});

test('configured addresses win over sockets', () => {
  const config = Config.parse({ data_dir: folder, control: { internal_listen: '0.0.0.0:7000', internal_token: 'sesame, open yourself' } });
  const addresses = internalAddresses(config, { XDG_RUNTIME_DIR: folder });
  expect(addresses.control).toBe('0.0.0.0:7000');
  expect(addresses.worker).toMatch(/^unix:.*worker\.sock$/);
  expect(internalToken(config, addresses.control)).toEqual({ token: 'sesame, open yourself' });
  expect(internalToken(config, addresses.worker)).toEqual({});
});
