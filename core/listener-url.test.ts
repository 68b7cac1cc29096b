import { expect, test } from 'vitest';
import { listenerUrl, socketHost, urlHost } from './listener-url.ts';

test('[RFC 3986 §3.2.2] an IPv6 address stands in brackets, once', () => {
  expect(['::1', '[::1]', '10.0.0.1', 'box.local'].map(urlHost)).toEqual(['[::1]', '[::1]', '10.0.0.1', 'box.local']);
});

test('a listener is reached where it is bound, one bound everywhere on this machine', () => {
  expect(listenerUrl('http', '::1', 8080)).toBe('http://[::1]:8080');
  expect(new URL(listenerUrl('http', 'fe80::1', 80)).host).toBe('[fe80::1]');
  expect(['http://[::1]:1/x', 'rtsp://box:8554/cam'].map((url) => socketHost(new URL(url)))).toEqual(['::1', 'box']);
  expect(listenerUrl('rtsp', '192.168.1.4', 8554)).toBe('rtsp://192.168.1.4:8554');
  for (const any of ['0.0.0.0', '::']) {
    expect(listenerUrl('http', any, 1)).toBe('http://localhost:1');
    expect(listenerUrl('http', any, 1, '127.0.0.1')).toBe('http://127.0.0.1:1');
  }
});
