import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { interleavedTransport, parseTransport } from './transport-header.ts';
import { parseRtspUri } from './uri.ts';

describe('the Transport header', () => {
  test('of ffmpeg and of GStreamer is understood', () => {
    expect(parseTransport('RTP/AVP/TCP;unicast;interleaved=0-1;mode=record')).toEqual([{ tcp: true, multicast: false, interleaved: [0, 1], mode: 'record' }]);
    expect(parseTransport('RTP/AVP;unicast;client_port=5000-5001;mode="RECORD", RTP/AVP/TCP;unicast;interleaved=2;mode="RECORD"')).toEqual([
      { tcp: false, multicast: false, interleaved: null, mode: 'record' },
      { tcp: true, multicast: false, interleaved: [2, 3], mode: 'record' },
    ]);
    expect(parseTransport('RTP/SAVP/TCP;unicast, RTP/AVP;multicast')).toEqual([{ tcp: false, multicast: true, interleaved: null, mode: 'play' }]);
  });

  test('names no channels that do not exist', () => {
    for (const channels of ['255', '300-301', '1-1', 'x', '']) expect(parseTransport(`RTP/AVP/TCP;interleaved=${channels}`)[0]?.interleaved).toBeNull();
  });

  test('of any text is read or left out, and never crashes', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.string().map((text) => `RTP/AVP/TCP;${text}`)), (text) => { expect(parseTransport(text)).toBeInstanceOf(Array); }));
  });

  test('answers with the channels chosen', () => {
    expect(interleavedTransport([4, 5], 'record')).toBe('RTP/AVP/TCP;unicast;interleaved=4-5;mode=record');
  });
});

describe('an RTSP URL', () => {
  test.each([
    ['rtsp://h:8554/line-1', { camera: 'line-1', control: '', token: null }],
    ['rtsp://h/line-1/', { camera: 'line-1', control: '', token: null }],
    ['rtsp://h/line-1/streamid=0', { camera: 'line-1', control: 'streamid=0', token: null }],
    ['rtsp://u:p@h/line-1?token=a.b-c', { camera: 'line-1', control: '', token: 'a.b-c' }],
    ['rtsp://h/line-1?token=a.b-c/streamid=1', { camera: 'line-1', control: 'streamid=1', token: 'a.b-c' }],
    ['rtsp://h/line-1/stream=1?token=a.b-c', { camera: 'line-1', control: 'stream=1', token: 'a.b-c' }],
    ['rtsp://h/line-1?token=', { camera: 'line-1', control: '', token: null }],
  ])('%s names camera, track and token', (uri, expected) => {
    expect(parseRtspUri(uri)).toEqual(expected);
  });

  test.each(['*', '', 'rtsp://h', 'rtsp://h/', 'rtsp://h/Line', 'rtsp://h/../etc', 'http://h/line-1', 'rtsp://h/%6cine'])('%s is none of ours', (uri) => {
    expect(parseRtspUri(uri)).toBeNull();
  });

  test('of any text is read or refused, and never crashes', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.string().map((text) => `rtsp://h/c${text}`)), (text) => {
      const uri = parseRtspUri(text);
      if (uri) expect(uri.camera).toMatch(/^[a-z0-9]/);
    }));
  });
});
