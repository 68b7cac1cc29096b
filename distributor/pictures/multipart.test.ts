import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LivePicture } from '../../extractor/port.ts';
import { readParts } from '../../test/support/mjpeg-reader.ts';
import { MULTIPART_BEGIN, MULTIPART_TYPE, PART_END, partHead } from './multipart.ts';

const picture = (bytes: Uint8Array, seq: number): LivePicture => ({
  frame: { stream: 'line-1', epoch: 1_750_000_000_000, rtpTs: 4_000_000_000, captureNtp: null, seq }, capturedAt: 1_750_000_000_250, pts: 0, format: 'jpeg',
  width: 2, height: 2, sourceWidth: 2, sourceHeight: 2, drawn: null, bytes: Buffer.from(bytes),
});

test('a part says what it is and how long, and ends with the boundary of the next', () => {
  expect(Buffer.concat([MULTIPART_BEGIN, partHead(picture(Buffer.from('JPEG'), 7)), Buffer.from('JPEG'), PART_END]).toString()).toBe([
    '--imageflow-picture', 'content-type: image/jpeg', 'content-length: 4', 'x-picture-time: 2025-06-15T15:06:40.250Z', 'x-picture-epoch: 1750000000000',
    'x-picture-rtp-timestamp: 4000000000', 'x-picture-sequence: 7', '', 'JPEG', '--imageflow-picture', '',
  ].join('\r\n'));
});

test('[DIS-4] a part with boxes drawn in says of which frame they are', () => {
  expect(partHead({ ...picture(Buffer.from('JPEG'), 7), drawn: { how: 'held', ageMs: 66.7 } }).toString()).toContain('x-picture-sequence: 7\r\nx-picture-boxes: held\r\nx-picture-boxes-age: 67\r\n');
});

test('pictures of any bytes are read back, however the network cuts them', async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }), fc.integer({ min: 1, max: 400 }), async (pictures, size) => {
    const bytes = Buffer.concat([MULTIPART_BEGIN, ...pictures.flatMap((each, i) => [partHead(picture(each, i)), each, PART_END])]);
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
    const response = new Response(Readable.toWeb(Readable.from(chunks)) as ReadableStream<Uint8Array>, { headers: { 'content-type': MULTIPART_TYPE } });
    const read: string[] = [];
    for await (const part of readParts(response)) read.push(`${part.headers.get('x-picture-sequence') ?? ''} ${part.bytes.toString('hex')}`);
    expect(read).toEqual(pictures.map((each, i) => `${String(i)} ${Buffer.from(each).toString('hex')}`));
  }));
});
