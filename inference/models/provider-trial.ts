/** Whether a provider gives for a model what the CPU gives, and how long a picture takes on each. */
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { OutputValues } from '../layouts/layout.ts';
import { alike, byTurns, noise } from './trial-runs.ts';
import type { Times } from './trial-runs.ts';

/** After that the trial is left: a model that takes so long is none for live pictures. */
const MOST_MS: Milliseconds = 20_000;
/** Values all smaller than that, as the scores of classes nobody sees, are compared as if they were so large. */
const LEAST_UNIT = 1e-4;
/** Pixels of the third picture's stripes. */
const STRIPE = 16;

/** What each of these pictures gets. */
type Run = (pictures: readonly Uint8Array[]) => Promise<readonly (readonly OutputValues[])[]>;

export interface ComparedRuns {
  readonly cpu: Run;
  readonly own: Run;
  /** Of the pixels of one picture. */
  readonly bytes: number;
  readonly clock: Clock;
}

const refuse = (why: string): MediaError => new MediaError('UNPROCESSABLE', why);

/** Rejects with what is wrong with the provider. */
export const compareRuns = async ({ cpu, own, bytes, clock }: ComparedRuns): Promise<{ readonly cpu: Times; readonly own: Times }> => {
  const pictures = [noise(bytes, 0), noise(bytes, 128), stripes(bytes)];
  let values = 0;
  for (const picture of pictures) {
    const [wanted = []] = await cpu([picture]);
    const [given = []] = await own([picture]);
    // Small values count for as much as large ones: a provider that gives zeros for scores of nothing is none.
    if (!alike(wanted, given, largest) || !channelsAlike(wanted, given)) throw refuse('it does not give what the CPU gives');
    for (const output of wanted) values += output.values.length;
  }
  if (values === 0) throw refuse('what it gives cannot be compared: the model gave no values for the pictures of the trial');
  const began = clock.monotonic();
  let turn = 0;
  const took = async (run: Run): Promise<Milliseconds> => {
    const picture = pictures[Math.floor(turn++ / 2) % pictures.length] ?? noise(bytes, 0);
    const from = clock.monotonic();
    await run([picture]);
    return clock.monotonic() - from;
  };
  const times = await byTurns([() => took(cpu), () => took(own)], () => clock.monotonic() - began > MOST_MS);
  if (times === null) throw refuse('it took too long to measure it');
  return { cpu: times[0], own: times[1] };
};

/** Of a channel's values so many may be others: a channel of nothing in the place of scores has nearly all wrong. */
const MAX_APART_IN_CHANNEL = 0.1;

/** Each channel by itself: in one output there are boxes in pixels, and scores that are next to nothing beside them. Channels are the shorter of the last two dimensions. */
const channelsAlike = (wanted: readonly OutputValues[], given: readonly OutputValues[]): boolean =>
  wanted.every(({ dims, values }, at) => {
    const [rows, columns] = [dims.at(-2) ?? 1, dims.at(-1) ?? 1];
    const [channels, stride] = rows <= columns ? [rows, columns] : [columns, 1];
    const others = given[at]?.values ?? NOTHING;
    const of = (from: Float32Array, channel: number): Float32Array => {
      const found = new Float32Array(from.length / channels);
      for (let [n, start] = [0, channel * stride]; start < from.length; start += channels * stride) for (let i = 0; i < stride; i++) found[n++] = from[start + i] ?? Number.NaN;
      return found;
    };
    return Array.from({ length: channels }, (_, channel) => channel).every((channel) => alike([{ dims: [], values: of(values, channel) }], [{ dims: [], values: of(others, channel) }], largest, MAX_APART_IN_CHANNEL));
  });

const NOTHING = new Float32Array(0);

const largest = (values: Float32Array): number => {
  let most = LEAST_UNIT;
  for (const value of values) most = Math.max(most, Number.isFinite(value) ? Math.abs(value) : 0);
  return Math.min(1, most);
};

const stripes = (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, (_, i) => (Math.floor(i / 3 / STRIPE) * 97 + (i % 3) * 80) % 256);
