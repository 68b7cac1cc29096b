import { expect, test } from 'vitest';
import { configKeys } from './keys.ts';
import { Config } from './schema.ts';
import { withoutSecrets } from './secrets.ts';

const config = Config.parse({
  public_url: 'https://olga:hunter2@box.example/base?token=abc123&x=1',
  admin: { password: 'very secret' },
  control: { internal_token: 'a token of the machines' },
  database: { url: 'postgres://box:hunter2@db.example/imageflow' },
  webrtc: { ice_servers: [{ urls: 'turn:turn.example:3478', username: 'box', credential: 'turn secret' }, { urls: 'turn:box:hunter2@turn.example' }, { urls: 'stun:stun.example' }] },
});

test('what is marked as secret is told to be set, whatever holds it; all else is shown', () => {
  const shown = withoutSecrets(config) as Config;
  expect(shown.admin).toEqual({ password: '(set)' });
  expect(shown.control).toEqual({ internal_token: '(set)' });
  expect(shown.database).toEqual({ url: '(set)' });
  expect(shown.webrtc.ice_servers).toEqual([{ urls: 'turn:turn.example:3478', username: 'box', credential: '(set)' }, { urls: 'turn:(set)@turn.example' }, { urls: 'stun:stun.example' }]);
  expect(shown.public_url).toBe('https://(set)@box.example/base?token=(set)&x=1');
  expect(JSON.stringify(shown)).not.toMatch(/secret|machines|hunter2|abc123/);
  expect(shown.http).toEqual(config.http);
  expect((withoutSecrets(Config.parse({})) as Config).admin).toEqual({});
});

test('every key whose name says that it is a secret is marked as one', () => {
  const marked = (path: string): boolean => configKeys().some((key) => key.path.join('.') === path && key.schema.writeOnly === true);
  const named = configKeys().map(({ path }) => path.join('.')).filter((path) => /(password|token|secret|credential|secret_access_key)$/.test(path));
  expect(named).toEqual(expect.arrayContaining(['admin.password', 'control.internal_token', 'archive.secret_access_key']));
  expect(named.filter((path) => !marked(path))).toEqual([]);
});
