import { createHash } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import fc from 'fast-check';
import { create } from '@bufbuild/protobuf';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import type { CryptoKey } from 'jose';
import { FakeClock } from '../core/testing-clock.ts';
import { MediaError } from '../core/errors.ts';
import { DesiredStateSchema } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import type { DesiredState } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import { DesiredStateAuthorizer } from './authorizer.ts';

let signing: CryptoKey;
let other: CryptoKey;
let jwk: string;
beforeAll(async () => {
  const pair = await generateKeyPair('RS256');
  signing = pair.privateKey;
  jwk = JSON.stringify(await exportJWK(pair.publicKey));
  other = (await generateKeyPair('RS256')).privateKey;
});

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const clock = new FakeClock();
const KEYS = [
  { id: 'k1', camera: 'line-1', grants: 'publish', sha256: sha256('pk_1'), ha1: 'aa' },
  { id: 'k2', camera: 'line-1', grants: 'view', sha256: sha256('vk_1'), ha1: 'bb' },
  { id: 'k3', camera: 'line-2', grants: 'publish', sha256: sha256('pk_2'), ha1: '' },
];
const make = (): { authorizer: DesiredStateAuthorizer; change: (change: Partial<Pick<DesiredState, 'keys' | 'revokedTokens' | 'tokenKeys'>>) => void; revoked: string[] } => {
  let state = create(DesiredStateSchema, { keys: KEYS, tokenKeys: [{ kid: 'one', jwk }] });
  const listeners: (() => void)[] = [];
  const authorizer = new DesiredStateAuthorizer({ source: { get state() { return state; }, onChange: (listener) => { listeners.push(listener); return { [Symbol.dispose]: () => undefined }; } }, clock });
  const revoked: string[] = [];
  authorizer.onRevoked((id) => revoked.push(id));
  return { authorizer, revoked, change: (change) => { state = { ...state, ...change }; for (const listener of listeners) listener(); } };
};
const token = (claims: Readonly<Record<string, unknown>> = {}, options: { key?: CryptoKey; kid?: string; typ?: string; seconds?: number; issuer?: string } = {}): Promise<string> =>
  new SignJWT({ username: 'anna', role: 'viewer', permissions: ['stream:view'], sid: 'f', ...claims })
    .setProtectedHeader({ alg: 'RS256', kid: options.kid ?? 'one', typ: options.typ ?? 'at+jwt' })
    .setIssuer(options.issuer ?? 'imageflow-edge').setSubject('u1').setJti('j1').setExpirationTime(Math.floor(clock.now() / 1000) + (options.seconds ?? 3600))
    .sign(options.key ?? signing);
const denial = async (authorizer: DesiredStateAuthorizer, credential: string | null, action: 'publish' | 'play', camera = 'line-1'): Promise<string | undefined> => {
  const error: unknown = await authorizer.authorize(credential, action, camera).then(() => undefined, (failure: unknown) => failure);
  if (error === undefined) return undefined;
  if (!(error instanceof MediaError)) throw error as Error;
  return `${error.code} ${error.reason ?? ''}`;
};

test('[ING-6] a key does what it was made for, on its own camera only', async () => {
  const { authorizer } = make();
  expect(await authorizer.authorize('pk_1', 'publish', 'line-1')).toEqual({ kind: 'key', id: 'k1', camera: 'line-1', grants: 'publish' });
  expect(await denial(authorizer, 'vk_1', 'play')).toBeUndefined();
  expect(await denial(authorizer, 'pk_1', 'play')).toBe('PERMISSION_DENIED KEY_OF_ANOTHER_KIND');
  expect(await denial(authorizer, 'vk_1', 'publish')).toBe('PERMISSION_DENIED KEY_OF_ANOTHER_KIND');
  expect(await denial(authorizer, 'pk_2', 'publish')).toBe('PERMISSION_DENIED KEY_OF_ANOTHER_CAMERA');
});

test('no credential, an unknown one and one that is too long are refused', async () => {
  const { authorizer } = make();
  expect(await denial(authorizer, null, 'play')).toBe('UNAUTHENTICATED NO_CREDENTIAL');
  expect(await denial(authorizer, '', 'play')).toBe('UNAUTHENTICATED NO_CREDENTIAL');
  expect(await denial(authorizer, 'pk_wrong', 'publish')).toBe('UNAUTHENTICATED TOKEN_INVALID');
  expect(await denial(authorizer, 'x'.repeat(10_000), 'publish')).toBe('UNAUTHENTICATED TOKEN_INVALID');
});

test('a token grants what its permissions say, * everything', async () => {
  const { authorizer } = make();
  const viewer = await token();
  expect(await authorizer.authorize(viewer, 'play', 'line-1')).toMatchObject({ kind: 'user', id: 'j1', username: 'anna' });
  expect(await denial(authorizer, viewer, 'publish')).toBe('PERMISSION_DENIED PERMISSION_MISSING');
  expect(await denial(authorizer, await token({ permissions: ['*'] }), 'publish', 'any-camera')).toBeUndefined();
  expect(await denial(authorizer, await token({ permissions: ['stream:publish'] }), 'play')).toBe('PERMISSION_DENIED PERMISSION_MISSING');
});

test('a foreign, expired or otherwise wrong token is refused', async () => {
  const { authorizer } = make();
  for (const wrong of [
    await token({}, { key: other }), await token({}, { kid: 'two' }), await token({}, { issuer: 'someone' }), await token({}, { typ: 'JWT' }), await token({ permissions: 'stream:view' }),
    `${await token()}x`, 'a.b.c',
  ]) expect(await denial(authorizer, wrong, 'play')).toBe('UNAUTHENTICATED TOKEN_INVALID');
  expect(await denial(authorizer, await token({}, { seconds: -10 }), 'play')).toBe('UNAUTHENTICATED TOKEN_EXPIRED');
  // "alg": "none"
  const none = `${Buffer.from('{"alg":"none","kid":"one","typ":"at+jwt"}').toString('base64url')}.${(await token()).split('.')[1] ?? ''}.`;
  expect(await denial(authorizer, none, 'play')).toBe('UNAUTHENTICATED TOKEN_INVALID');
});

test('a token verified before expires all the same', async () => {
  const { authorizer } = make();
  const short = await token({}, { seconds: 60 });
  expect(await denial(authorizer, short, 'play')).toBeUndefined();
  clock.advance(61_000);
  expect(await denial(authorizer, short, 'play')).toBe('UNAUTHENTICATED TOKEN_EXPIRED');
});

test('what is revoked counts no more at once, and who holds it open is told', async () => {
  const { authorizer, change, revoked } = make();
  const viewer = await token();
  await authorizer.authorize(viewer, 'play', 'line-1');
  change({ revokedTokens: ['j1'] });
  expect(await denial(authorizer, viewer, 'play')).toBe('UNAUTHENTICATED TOKEN_REVOKED');
  change({ revokedTokens: ['j1'], keys: [] });
  expect(await denial(authorizer, 'pk_1', 'publish')).toBe('UNAUTHENTICATED TOKEN_INVALID');
  expect(revoked).toEqual(['j1', 'k1', 'k2', 'k3']);
});

test('tokens of a signing key that is gone are refused, also those verified before', async () => {
  const { authorizer, change } = make();
  const viewer = await token();
  await authorizer.authorize(viewer, 'play', 'line-1');
  change({ tokenKeys: [] });
  expect(await denial(authorizer, viewer, 'play')).toBe('UNAUTHENTICATED TOKEN_INVALID');
});

test('digests for RTSP are those of the keys that grant the action', () => {
  const { authorizer } = make();
  expect(authorizer.digestHa1s('line-1', 'publish')).toEqual([{ keyId: 'k1', ha1: 'aa' }]);
  expect(authorizer.digestHa1s('line-1', 'play')).toEqual([{ keyId: 'k2', ha1: 'bb' }]);
  expect(authorizer.digestHa1s('line-2', 'publish')).toEqual([]);
});

test('any credential is taken or refused, and never crashes', async () => {
  const { authorizer } = make();
  const part = fc.oneof(fc.string(), fc.json().map((text) => Buffer.from(text).toString('base64url')));
  await fc.assert(fc.asyncProperty(fc.oneof(fc.string(), fc.array(part, { minLength: 3, maxLength: 5 }).map((parts) => parts.join('.'))), async (credential) => {
    expect(await denial(authorizer, credential, 'play')).toMatch(/^UNAUTHENTICATED/);
  }));
});
