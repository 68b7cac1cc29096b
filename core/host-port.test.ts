import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isHostPort } from './host-port.ts';

test.each([
  ['gpu-2:7001', true], ['gpu-2.plant.example:65535', true], ['10.0.0.2:1', true], ['[fe80::1]:7001', true], ['[::1]:7001', true], ['a:7', true], ['line_triton_1:8001', true],
  ['gpu-2', false], ['gpu-2:', false], [':7001', false], ['gpu-2:0', false], ['gpu-2:65536', false], ['gpu-2:07001', false], ['0.0.0.0:7001', false], ['[::]:7001', false],
  ['unix:/run/worker.sock', false], ['http://gpu-2:7001', false], ['gpu 2:7001', false], ['-gpu:7001', false], ['fe80::1:7001', false], [`${'a'.repeat(254)}:7001`, false], ['gpu-2:7001\n', false],
])('%j: %s', (text, expected) => {
  expect(isHostPort(text)).toBe(expected);
});

test('whatever it is given, it answers', () => {
  fc.assert(fc.property(fc.string(), (text) => { expect(typeof isHostPort(text)).toBe('boolean'); }));
});
