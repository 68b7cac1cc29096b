import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { encodeAnswer, header } from './message.ts';
import { RtspSocketReader } from './socket-reader.ts';

type Item = readonly [what: string, ...rest: unknown[]];

const collect = (): { readonly reader: RtspSocketReader; readonly items: Item[] } => {
  const items: Item[] = [];
  const reader = new RtspSocketReader({
    request: (request) => items.push(['request', request.method, request.uri, header(request, 'cseq'), request.body.toString('latin1')]),
    response: (response) => items.push(['response', response.status, response.body.toString('latin1')]),
    interleaved: (channel, chunk, start, end) => items.push(['frame', channel, chunk.toString('hex', start, end)]),
  });
  return { reader, items };
};
const frame = (channel: number, payload: Uint8Array): Buffer => Buffer.concat([Buffer.from([0x24, channel, payload.length >> 8, payload.length & 0xff]), payload]);
const request = (text: string): Buffer => Buffer.from(text.replaceAll('\n', '\r\n'));

const STREAM = Buffer.concat([
  request('OPTIONS rtsp://h/c RTSP/1.0\nCSeq: 1\n\n'),
  request('ANNOUNCE rtsp://h/c RTSP/1.0\nCSeq: 2\nContent-Type: application/sdp\nContent-Length: 5\n\nv=0\n'),
  frame(0, Buffer.from('RTSP/1.0 200 OK\r\n\r\n')), // looks like a message, is a payload
  frame(1, Buffer.alloc(0)),
  request('\nRTSP/1.0 200 OK\ncseq : 9\n\n'),
  frame(2, Buffer.alloc(1_400, 0x24)),
  request('TEARDOWN rtsp://h/c RTSP/1.0\nCSEQ: 3\n\n'),
]);
const EXPECTED: readonly Item[] = [
  ['request', 'OPTIONS', 'rtsp://h/c', '1', ''],
  ['request', 'ANNOUNCE', 'rtsp://h/c', '2', 'v=0\r\n'],
  ['frame', 0, Buffer.from('RTSP/1.0 200 OK\r\n\r\n').toString('hex')],
  ['frame', 1, ''],
  ['response', 200, ''],
  ['frame', 2, '24'.repeat(1_400)],
  ['request', 'TEARDOWN', 'rtsp://h/c', '3', ''],
];

describe('what comes on an RTSP socket', () => {
  test('[ING-4] is told apart: requests, responses and interleaved frames', () => {
    const { reader, items } = collect();
    reader.push(STREAM);
    expect(items).toEqual(EXPECTED);
  });

  test('[ING-4] reads the same however the bytes are cut into chunks', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }), (sizes) => {
      const { reader, items } = collect();
      for (let at = 0, i = 0; at < STREAM.length; i++) {
        const size = sizes[i % sizes.length] ?? 1;
        reader.push(STREAM.subarray(at, at + size));
        at += size;
      }
      expect(items).toEqual(EXPECTED);
    }));
  });

  test('gives payloads as views of the chunk', () => {
    const chunk = frame(0, Buffer.from('abc'));
    const reader = new RtspSocketReader({ request: () => undefined, response: () => undefined, interleaved: (_, bytes) => { expect(bytes.buffer).toBe(chunk.buffer); } });
    reader.push(chunk);
    expect.assertions(1);
  });

  test('any bytes are read or refused, and never crash', () => {
    const junk = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.string({ maxLength: 200 }).map((text) => Buffer.from(text)),
      fc.tuple(fc.nat(STREAM.length - 1), fc.nat(255)).map(([at, value]) => { const copy = Buffer.from(STREAM); copy[at] = value; return copy; }));
    fc.assert(fc.property(fc.array(junk, { maxLength: 8 }), (chunks) => {
      const { reader } = collect();
      try {
        for (const chunk of chunks) reader.push(Buffer.from(chunk));
      } catch (error) {
        expect(error).toBeInstanceOf(MediaError);
      }
    }), { numRuns: 500 });
  });

  test.each([
    ['a header block over 16 KiB', `OPTIONS rtsp://h/c RTSP/1.0\r\nX: ${'y'.repeat(17_000)}`, 'PAYLOAD_TOO_LARGE'],
    ['more than 100 header fields', `OPTIONS rtsp://h/c RTSP/1.0\r\n${'X: y\r\n'.repeat(101)}\r\n`, 'PAYLOAD_TOO_LARGE'],
    ['a body over 64 KiB', 'ANNOUNCE rtsp://h/c RTSP/1.0\r\nContent-Length: 65537\r\n\r\n', 'PAYLOAD_TOO_LARGE'],
    ['a negative body', 'ANNOUNCE rtsp://h/c RTSP/1.0\r\nContent-Length: -1\r\n\r\n', 'INVALID_ARGUMENT'],
    ['two lengths that differ', 'ANNOUNCE rtsp://h/c RTSP/1.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 'INVALID_ARGUMENT'],
    ['HTTP', 'GET / HTTP/1.1\r\nHost: h\r\n\r\n', 'INVALID_ARGUMENT'],
    ['a field without a colon', 'OPTIONS rtsp://h/c RTSP/1.0\r\nnonsense\r\n\r\n', 'INVALID_ARGUMENT'],
    ['binary', '\u0016\u0003\u0001', 'INVALID_ARGUMENT'],
  ])('refuses %s', (_, text, code) => {
    expect(() => { collect().reader.push(Buffer.from(text)); }).toThrow(expect.objectContaining({ code }));
  });
});

describe('an answer', () => {
  test('echoes CSeq and tells the length of its body', () => {
    expect(encodeAnswer({ status: 404, headers: [['Session', 'a']], body: 'no' }, '7').toString()).toBe('RTSP/1.0 404 Not Found\r\nCSeq: 7\r\nSession: a\r\nContent-Length: 2\r\n\r\nno');
  });

  test('carries no line break of a client into its header', () => {
    expect(encodeAnswer({ status: 551, headers: [['Unsupported', 'a\nX: b']] }, '1\nX: c').toString()).toBe('RTSP/1.0 551 Option Not Supported\r\nUnsupported: a X: b\r\n\r\n');
  });
});
