import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { silentLogger } from '../platform/logging.ts';
import { fragmentedStream } from './fragmented-stream.ts';
import type { SegmentRecord } from './port.ts';
import { LocalSegments } from './segment-file.ts';
import { SegmentIndexCache } from './segment-index.ts';

type Tracks = SegmentRecord['tracks'];
const START = 1_750_000_000_000;
const video = (codec: string, width = 1280, height = 720): Tracks[number] => ({ kind: 'video', codec, width, height });
const sound = (codec: string): Tracks[number] => ({ kind: 'audio', codec, width: null, height: null });

/** What comes of a stream over two segments of ten seconds whose files are not there: a refusal for their tracks comes before that is known. */
const streamed = async (before: Tracks, after: Tracks): Promise<unknown> => {
  const directory = await mkdtemp(join(tmpdir(), 'imageflow-fragments-'));
  try {
    const files = new LocalSegments(directory);
    const segments = [before, after].map((tracks, i): SegmentRecord => ({
      id: `cam/${String(START + i * 10_000)}-abc-${String(i)}`, camera: 'cam', sessionId: 'abc', epoch: i, start: START + i * 10_000, duration: 10_000, bytes: 1, sha256: 'x', open: false, tracks, gapBefore: null,
    }));
    const stream = fragmentedStream({ range: { camera: 'cam', from: START, to: START + 20_000 }, segments, files, indexes: new SegmentIndexCache(files), logger: silentLogger() }, new AbortController().signal);
    return await stream.next().catch((error: unknown) => error);
  } finally {
    await rm(directory, { recursive: true });
  }
};

describe('[REC-5] a fragmented playback', () => {
  test.each([
    { name: 'another size', before: [video('avc1.64001f')], after: [video('avc1.64001f', 640, 360)] },
    { name: 'another codec of the pictures', before: [video('avc1.64001f')], after: [video('vp09.00.31.08')] },
    { name: 'another codec of the sound', before: [video('avc1.64001f'), sound('mp4a.40.2')], after: [video('avc1.64001f'), sound('opus')] },
    { name: 'sound that comes again in another codec', before: [video('avc1.64001f'), sound('opus')], after: [video('avc1.64001f'), sound('mp4a.40.2')] },
  ])('over $name is refused, with the moment', async ({ before, after }) => {
    expect(await streamed(before, after)).toMatchObject({ code: 'UNPROCESSABLE', reason: 'TRACKS_CHANGE', context: { at: new Date(START + 10_000).toISOString() } });
  });

  test.each([
    { name: 'another profile of the same size', before: [video('avc1.64001f')], after: [video('avc1.42c01f')] },
    { name: 'sound that joins', before: [video('avc1.64001f')], after: [video('avc1.64001f'), sound('opus')] },
    { name: 'sound that ends', before: [video('avc1.64001f'), sound('opus')], after: [video('avc1.64001f')] },
  ])('over $name is not', async ({ before, after }) => {
    expect(await streamed(before, after)).toMatchObject({ reason: 'NOTHING_RECORDED' });
  });
});
