import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MediaError } from '../core/errors.ts';
import { decodeExportAnswer, decodeExportMessage } from './export-protocol.ts';
import type { ExportMessage } from './export-protocol.ts';

test('[REC-5] what control says to its exporter arrives as it was said', () => {
  const messages: ExportMessage[] = [
    { type: 'begin', path: '/x.part', fps: 30, maxBytes: 1 }, { type: 'stream', decoderConfig: 'AAEC' },
    { type: 'picture', at: null, boxes: [] }, { type: 'picture', at: 33.3, boxes: [{ className: 'cup', classId: 0, confidence: 0.5, trackId: '12', x: 1, y: 2, width: 3, height: 4 }] }, { type: 'end', length: 1000 },
  ];
  for (const message of messages) expect(decodeExportMessage(Buffer.from(JSON.stringify(message)))).toEqual(message);
  expect(decodeExportAnswer({ type: 'done', bytes: 5, pictures: 1 })).toEqual({ type: 'done', bytes: 5, pictures: 1 });
});

test('[REC-5] anything else is refused', () => {
  fc.assert(fc.property(fc.oneof(fc.json().map((text) => Buffer.from(text)), fc.uint8Array().map((bytes) => Buffer.from(bytes))), (junk) => {
    expect(() => decodeExportMessage(junk)).toThrow(MediaError);
  }));
  fc.assert(fc.property(fc.anything(), (junk) => { expect(decodeExportAnswer(junk)).toBeUndefined(); }));
  expect(() => decodeExportMessage(Buffer.from(JSON.stringify({ type: 'picture', at: -1, boxes: [] })))).toThrow(MediaError);
});
