import { expect, test } from 'vitest';
import { ownBodyOf } from './own-bodies.ts';

test('[INF-3] pictures and models have bodies of their own, everything else is JSON', () => {
  expect(ownBodyOf('POST', '/v1/models/a.b/try')).toBe('picture');
  expect(ownBodyOf('POST', '/api/v1/models/a/try?confidence=0.1')).toBe('picture');
  expect(ownBodyOf('PUT', '/v1/models/a%20b')).toBe('model');
  for (const [method, url] of [['PUT', '/v1/models/a/try'], ['POST', '/v1/models/a'], ['DELETE', '/v1/models/a'], ['PUT', '/v1/models/'], ['POST', '/v1/cameras/models/a/try'], ['PUT', '/x?/v1/models/a']] as const) {
    expect(ownBodyOf(method, url), `${method} ${url}`).toBeNull();
  }
});
