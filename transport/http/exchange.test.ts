import { describe, expect, test } from 'vitest';
import { clientAddressOf } from './exchange.ts';

describe('where the client is', () => {
  test.each([
    ['the other end', '10.0.0.7', undefined, '10.0.0.7'],
    ['IPv4 through a socket of both families', '::ffff:10.0.0.7', undefined, '10.0.0.7'],
    ['IPv6', 'fd00::7', undefined, 'fd00::7'],
    ['as the front door says', '127.0.0.1', '10.0.0.7', '10.0.0.7'],
    ['behind a proxy and the front door', '127.0.0.1', ' 10.0.0.7 , 10.0.0.1', '10.0.0.7'],
    ['a proxy that hides it', '127.0.0.1', 'unknown', null],
    ['a header without an address', '127.0.0.1', '', null],
    ['gone', undefined, undefined, null],
  ])('%s', (_what, remoteAddress, forwarded, expected) => {
    expect(clientAddressOf({ headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }, socket: { remoteAddress } })).toBe(expected);
  });
});
