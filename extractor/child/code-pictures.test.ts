import { AVCOL_RANGE_JPEG, AV_PIX_FMT_YUV420P } from 'node-av/constants';
import { Frame } from 'node-av/lib';
import { beforeAll, expect, test } from 'vitest';
import { silentLogger } from '../../platform/logging.ts';
import { codePicture } from '../../test/support/code-picture.ts';
import type { GreyPixels } from '../../test/support/code-picture.ts';
import type { CodesMessage } from '../protocol.ts';
import { CodePictures, MAX_PIXELS } from './code-pictures.ts';
import type { CodeOutcome } from './code-reader.ts';
import type { ToCodeThread } from './code-thread-protocol.ts';
import { GreyScaler } from './grey-scaler.ts';
import { loadCodeReader, readCodes } from './read-codes.ts';

beforeAll(loadCodeReader);

const CODES = { fps: 2, formats: ['qr'] } as const;
const READ = { format: 'qr', text: 'WO-1', bytes: null, corners: [[0, 0], [1, 0], [1, 1], [0, 1]] } as const;

/** A decoded picture of full range, as a decoder lays it out: with more memory in a row than pixels. */
const frameOf = ({ width, height, pixels }: GreyPixels): Frame => {
  const frame = new Frame();
  frame.alloc();
  frame.width = width;
  frame.height = height;
  frame.format = AV_PIX_FMT_YUV420P;
  frame.colorRange = AVCOL_RANGE_JPEG;
  if (frame.getBuffer(64) < 0) throw new Error('no memory');
  const [luma, ...chroma] = frame.data ?? [];
  const stride = frame.linesize[0] ?? 0;
  for (let row = 0; row < height; row++) luma?.set(pixels.subarray(row * width, (row + 1) * width), row * stride);
  for (const plane of chroma.slice(0, 2)) plane.fill(128);
  return frame;
};
const grey = (width: number, height: number): GreyPixels => ({ width, height, pixels: Uint8Array.from({ length: width * height }, (_, i) => (i * 7) & 0xff) });

const setUp = () => {
  const offered: { readonly picture: ToCodeThread; readonly done: (outcome: CodeOutcome) => void }[] = [];
  const forgotten: number[] = [];
  const sent: CodesMessage[] = [];
  const pictures = new CodePictures({
    handle: 7, logger: silentLogger(), send: (message) => { sent.push(message); },
    reader: { offer: (_camera, picture, done) => { offered.push({ picture, done }); }, forget: (camera) => { forgotten.push(camera); } },
  });
  const small = frameOf(grey(32, 32));
  const take = (index: number, decodeOnly = false, frame = small): void => {
    pictures.take(frame, { frame: { stream: 'a', epoch: 1, rtpTs: index, captureNtp: null, seq: index }, pts: index * 3_000, wall: 1_000 + index, decodeOnly });
  };
  return { pictures, offered, forgotten, sent, take };
};

test('[PRO-2] [EXT-2] as many pictures a second are looked at as are wanted, none that is late, and each of the others is counted with its reason', () => {
  const { pictures, offered, take } = setUp();
  take(0);
  expect(pictures.takeStats()).toBeNull();
  pictures.set(CODES, 90_000);
  for (let i = 0; i < 60; i++) take(i, i < 5);
  expect(offered.length).toBe(4);
  for (const { done } of offered.slice(0, 3)) done({ type: 'read', codes: [] });
  offered[3]?.done({ type: 'skipped', reason: 'superseded' });
  expect(pictures.takeStats()).toEqual({ handle: 7, looked: 3, skipped: { late: 5, fps: 51, superseded: 1 } });
  expect(pictures.takeStats()).toBeNull();
});

test('[PRO-2] what was read is told with the identity of its picture; of nothing nothing is told', () => {
  const { pictures, offered, take, sent } = setUp();
  pictures.set(CODES, 90_000);
  take(0);
  take(30);
  offered[0]?.done({ type: 'read', codes: [READ] });
  offered[1]?.done({ type: 'read', codes: [] });
  expect(sent).toEqual([{ handle: 7, frame: { stream: 'a', epoch: 1, rtpTs: 0, captureNtp: null, seq: 0 }, capturedAt: 1_000, codes: [READ] }]);
});

test('[PRO-2] after it was switched off nothing is told or counted of what was under way; other settings go on with the same pictures', () => {
  const { pictures, offered, take, sent, forgotten } = setUp();
  pictures.set(CODES, 90_000);
  take(0);
  pictures.set({ ...CODES, formats: ['aztec'] }, 90_000);
  offered[0]?.done({ type: 'read', codes: [READ] });
  expect(sent.length).toBe(1);
  take(1);
  expect(offered.length).toBe(1);
  take(30);
  expect(offered[1]?.picture.formats).toEqual(['aztec']);
  pictures.takeStats();
  pictures.set(undefined, 90_000);
  offered[1]?.done({ type: 'read', codes: [READ] });
  take(60);
  expect([sent.length, offered.length, pictures.takeStats(), forgotten]).toEqual([1, 2, null, [7]]);
});

test('[PRO-2] a new epoch begins with its first picture', () => {
  const { pictures, offered, take } = setUp();
  pictures.set({ ...CODES, fps: 0.2 }, 90_000);
  take(100);
  pictures.forget();
  take(101);
  expect(offered.length).toBe(2);
});

test('[PRO-2] of a picture the very brightness is looked at, without what lies beside its rows', () => {
  using scaler = new GreyScaler(1 << 20);
  for (const [width, height] of [[641, 361], [640, 360], [33, 47]] as const) {
    const shown = grey(width, height);
    const { picture, ...size } = scaler.scale(frameOf(shown));
    expect(size).toEqual({ width, height });
    expect(Buffer.from(picture.subarray(picture.length - width * height)).equals(shown.pixels)).toBe(true);
  }
});

test.each([[1920, 1080, 180], [1920, 1080, 110], [3840, 2160, 360]])('[PRO-2] of a picture of %d × %d, which is made smaller, a code of %d pixels is read', async (width, height, side) => {
  const { pictures, offered, take } = setUp();
  pictures.set(CODES, 90_000);
  take(0, false, frameOf(await codePicture(width, height, [{ content: 'https://mes.example/wo/4711', format: 'QRCode', side, x: 0.7 * width, y: 0.6 * height, angle: 20 }])));
  const picture = offered[0]?.picture;
  if (!picture) throw new Error('nothing offered');
  expect(picture.width * picture.height).toBeLessThanOrEqual(MAX_PIXELS);
  expect(picture.width / picture.height).toBeCloseTo(16 / 9, 2);
  expect(await readCodes(picture)).toMatchObject([{ format: 'qr', text: 'https://mes.example/wo/4711' }]);
});
