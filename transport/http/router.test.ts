import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Router } from './router.ts';

const routes = (...patterns: string[]): Router<string> => {
  const router = new Router<string>();
  for (const pattern of patterns) router.add('GET', pattern, pattern);
  return router;
};

test('a named segment takes one segment, percent-decoded', () => {
  expect(routes('/hls/:camera/:file').find('GET', '/hls/line-1/a%20b.m4s')).toEqual({ value: '/hls/:camera/:file', pattern: '/hls/:camera/:file', params: { camera: 'line-1', file: 'a b.m4s' } });
});

test('a fixed segment wins over a named one, and a named one over the remainder', () => {
  const router = routes('/hls/:camera/:file', '/hls/:camera/index.m3u8', '/hls/*rest');
  expect(router.find('GET', '/hls/a/index.m3u8')).toMatchObject({ pattern: '/hls/:camera/index.m3u8' });
  expect(router.find('GET', '/hls/a/b')).toMatchObject({ pattern: '/hls/:camera/:file' });
  expect(router.find('GET', '/hls/a/b/c')).toEqual({ value: '/hls/*rest', pattern: '/hls/*rest', params: { rest: 'a/b/c' } });
});

test('a dead end after a fixed segment goes back to the named one', () => {
  const router = routes('/a/b/c', '/a/:x/d');
  expect(router.find('GET', '/a/b/d')).toMatchObject({ pattern: '/a/:x/d', params: { x: 'b' } });
});

test('an empty segment, a trailing slash and malformed percent-encoding find nothing', () => {
  const router = routes('/whip/:camera');
  for (const path of ['/whip/', '/whip//', '/whip/a/', '/whip', '/whip/%zz', 'whip/a', '']) expect(router.find('GET', path), path).toBeNull();
});

test('a known path with another method tells the methods there are, HEAD with GET', () => {
  const router = new Router<number>();
  router.add('POST', '/whip/:camera', 1);
  router.add('GET', '/whip/:camera', 2);
  expect(router.find('HEAD', '/whip/a')).toMatchObject({ value: 2 });
  expect(router.find('DELETE', '/whip/a')).toEqual({ allowed: ['POST', 'GET', 'HEAD', 'OPTIONS'] });
});

test('a route registered twice is our bug', () => {
  const router = routes('/a/:b');
  expect(() => { router.add('GET', '/a/:b', ''); }).toThrow('exists already');
  expect(() => { router.add('POST', '/a/:c', ''); }).toThrow('same path');
  expect(() => { router.add('GET', '/a/*b/c', ''); }).toThrow('last segment');
});

test('any path finds something or nothing, and never crashes', () => {
  const router = routes('/hls/:camera/:file', '/hls/:camera/index.m3u8', '/x/*rest');
  fc.assert(fc.property(fc.string(), fc.constantFrom('', '/hls/', '/x/'), (junk, prefix) => { router.find('GET', prefix + junk); }));
});
