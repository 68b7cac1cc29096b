import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { usableCandidate, usableCandidates } from './candidates.ts';

const V4 = 'candidate:1 1 udp 2113937151 10.0.0.7 45912 typ host generation 0';
const NAMED_V4 = 'candidate:1 1 udp 2113937151 3f2504e0-4f89-41d3-9a0c-0305e82c3301.local 45912 typ host generation 0';
const NAMED_V6 = 'candidate:2 1 udp 2113942271 6ba7b810-9dad-41d1-80b4-00c04fd430c8.local 54568 typ host generation 0';
const at = (line: string, address: string): string => line.replace(/\S+\.local/, address);

describe('a remote candidate', () => {
  test('is used as it is where it has an address, whoever sent it', () => {
    expect(usableCandidate(V4, null)).toBe(V4);
    expect(usableCandidate(V4, '10.9.9.9')).toBe(V4);
  });

  test('[DIS-1] that a browser hid behind a name is at the address the offer came from', () => {
    expect(usableCandidate(NAMED_V4, '10.0.0.7')).toBe(V4);
    expect(usableCandidate(NAMED_V4, 'fd00::7')).toBe(at(NAMED_V4, 'fd00::7'));
    expect(usableCandidate(NAMED_V4, null)).toBeNull();
    expect(usableCandidate(NAMED_V4, 'camera.example')).toBeNull();
  });

  test.each([
    ['TCP', V4.replace('udp', 'tcp')], ['RTCP', V4.replace(' 1 udp', ' 2 udp')], ['a name that is no browser\'s', at(NAMED_V4, 'camera.local')],
    ['no port', V4.replace('45912', '0')], ['a port too large', V4.replace('45912', '65536')], ['a priority of 33 bits', V4.replace('2113937151', '4294967296')],
    ['too long', `${V4} ${'x'.repeat(512)}`], ['two lines', `${V4}\r\na=x`], ['nothing', ''],
  ])('is of no use: %s', (_what, line) => {
    expect(usableCandidate(line, '10.0.0.7')).toBeNull();
  });

  test('whatever is sent, what is used is one line with an address', () => {
    fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string().map((text) => NAMED_V4.replace('generation', text))), fc.option(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string())), (line, client) => {
      const usable = usableCandidate(line, client);
      expect(usable === null || (!/[\r\n]/.test(usable) && !usable.includes('.local ') && usable.length <= 600)).toBe(true);
    }));
  });
});

describe('the order of checks', () => {
  const other = 'candidate:3 1 udp 2113939711 fd00::7 40000 typ host';
  const relay = 'candidate:4 1 udp 41885439 203.0.113.9 50000 typ relay raddr 0.0.0.0 rport 0';

  test('the address the offer came from first, then its family, each once', () => {
    expect(usableCandidates([other, relay, V4, V4], '10.0.0.7')).toEqual([V4, relay, other]);
    expect(usableCandidates([relay, V4], '172.17.0.1')).toEqual([V4, relay]);
    expect(usableCandidates([V4, other], 'fd00::7')).toEqual([other, V4]);
    expect(usableCandidates([other, V4], '::1')).toEqual([other, V4]);
  });

  test('of two names the one of the client\'s family first', () => {
    expect(usableCandidates([NAMED_V6, NAMED_V4], '10.0.0.7')).toEqual([V4, at(NAMED_V6, '10.0.0.7')]);
    expect(usableCandidates([NAMED_V4, NAMED_V6], 'fd00::7')).toEqual([at(NAMED_V6, 'fd00::7'), at(NAMED_V4, 'fd00::7')]);
  });

  test('as offered where the client\'s address is not known; names are of no use then', () => {
    expect(usableCandidates([other, NAMED_V4, V4], null)).toEqual([other, V4]);
  });
});
