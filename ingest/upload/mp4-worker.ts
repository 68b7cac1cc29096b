/** A thread that reads one uploaded MP4: whoever made it decides how long its tables are, and no live camera waits for them. */
import { parentPort, workerData } from 'node:worker_threads';
import { MediaError, messageOf } from '../../core/errors.ts';
import { Mp4Clip, VIDEO_RATE } from '../file/mp4-clip.ts';
import type { ClipSample } from '../file/mp4-clip.ts';
import { checkBoxSizes } from './box-sizes.ts';
import type { BatchSample, Mp4WorkerData, Mp4WorkerMessage } from './mp4-protocol.ts';

const MAX_BATCH_BYTES = 512 << 10;
const MAX_BATCH_SAMPLES = 128;
/** A larger picture is none of a camera's. */
const MAX_SAMPLE_BYTES = 16 << 20;
/** Ticks. */
const ROUNDING = 90;

const { path, maxSeconds } = workerData as Mp4WorkerData;
const say = (message: Mp4WorkerMessage, transfer: ArrayBuffer[] = []): void => { parentPort?.postMessage(message, transfer); };
const refuse = (message: string): MediaError => new MediaError('UNPROCESSABLE', message, { reason: 'FILE_NOT_USABLE' });

/** Reads everything once, so that nothing is recorded of a file that breaks off. */
const check = async (clip: Mp4Clip): Promise<number> => {
  if ((await clip.largestSample()) > MAX_SAMPLE_BYTES) throw refuse('a sample of the file is far too large');
  let pictures = 0;
  let first = true;
  let end = 0;
  for await (const { kind, data, randomAccess, pts, duration } of clip.samples()) {
    if (data.length === 0) throw refuse('a sample of the file is empty');
    if (kind === 'audio') continue;
    if (first && !randomAccess) throw refuse('the file does not begin with a key frame');
    first = false;
    pictures++;
    end = Math.max(end, pts + duration);
  }
  if (pictures === 0) throw refuse('the file has no pictures');
  // Its tables say how much there should be; what is not there is passed over in silence.
  if (end < clip.period - ROUNDING) throw refuse('the file breaks off before its end');
  if (clip.period / VIDEO_RATE > maxSeconds) throw refuse(`the file is longer than ${String(maxSeconds)} seconds`);
  return pictures;
};

const batchOf = (samples: readonly ClipSample[], bytes: number): { readonly samples: BatchSample[]; readonly data: ArrayBuffer } => {
  const data = new ArrayBuffer(bytes);
  const all = new Uint8Array(data);
  let offset = 0;
  const listed = samples.map(({ data: one, kind, randomAccess, pts, dts, duration }) => {
    all.set(one, offset);
    offset += one.length;
    return { kind, randomAccess, pts, dts, duration, bytes: one.length };
  });
  return { samples: listed, data };
};

const wanted: (() => void)[] = [];
let credit = 0;
parentPort?.on('message', () => {
  const wake = wanted.shift();
  if (wake) wake();
  else credit++;
});
const asked = (): Promise<void> => (credit > 0 ? (credit--, Promise.resolve()) : new Promise((resolve) => { wanted.push(resolve); }));

const serve = async (): Promise<void> => {
  await checkBoxSizes(path);
  using clip = await Mp4Clip.open(path);
  const pictures = await check(clip);
  const { parameterSets: { sps, pps }, audio, period } = clip;
  say({ type: 'head', sps: Uint8Array.from(sps), pps: Uint8Array.from(pps), audio, duration: (period * 1000) / VIDEO_RATE, pictures });
  await asked();
  let samples: ClipSample[] = [];
  let bytes = 0;
  for await (const sample of clip.samples()) {
    samples.push(sample);
    bytes += sample.data.length;
    if (bytes < MAX_BATCH_BYTES && samples.length < MAX_BATCH_SAMPLES) continue;
    const batch = batchOf(samples, bytes);
    say({ type: 'batch', ...batch }, [batch.data]);
    samples = [];
    bytes = 0;
    await asked();
  }
  const batch = batchOf(samples, bytes);
  say({ type: 'batch', ...batch }, [batch.data]);
  await asked();
  say({ type: 'end' });
};

serve().catch((error: unknown) => {
  say({ type: 'refused', message: messageOf(error), reason: (error instanceof MediaError ? error.reason : undefined) ?? 'FILE_NOT_USABLE' });
}).finally(() => { parentPort?.close(); });
