/** Whether a model's pictures are worth running together: measured when it is loaded. */
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { OutputValues } from '../layouts/layout.ts';
import type { BatchChoice } from '../port.ts';
import { alike, byTurns, noise, shown } from './trial-runs.ts';
import type { Times } from './trial-runs.ts';

/** So many pictures run together at most, whatever is asked for. */
export const MAX_BATCH = 32;
/** Of the input of one run, in floats. */
const MAX_INPUT_BYTES = 64 << 20;
/** A picture must cost so much less, in proportion, for twice as many to run together: what is less is noise, and every picture waits for the others. */
const LEAST_GAIN = 0.1;
/** After that no further size is begun. */
const BUDGET_MS: Milliseconds = 5000;
/** After that a size is left in the middle: whoever waits for the model waits no longer. */
const MOST_MS: Milliseconds = 2 * BUDGET_MS;
/** A run may take so much of the time a picture has. */
const SHARE_OF_DEADLINE = 0.25;

export interface BatchTrial {
  /** What each of these pictures got. */
  readonly run: (pictures: readonly Uint8Array[]) => Promise<readonly (readonly OutputValues[])[]>;
  /** Of the pixels of one picture. */
  readonly bytes: number;
  /** `batch_max` */
  readonly most: number;
  /** What a picture has altogether. */
  readonly deadlineMs: Milliseconds;
  readonly clock: Clock;
}

/** One by one, for that reason. */
export const oneByOne = (why: string): BatchChoice => ({ pictures: 1, why });

/** What is said of how a model's pictures run. */
export interface BatchWishes {
  /** Pictures its input has; null: any number. */
  readonly fixed: number | null;
  /** `batch_max` */
  readonly most: number;
  /** Of a symbolic batch; undefined: it was not measured. */
  readonly measured: BatchChoice | undefined;
}

/** How many pictures of a model run together. */
export const decideBatch = ({ fixed, most, measured }: BatchWishes): BatchChoice => {
  if (fixed === 1) return oneByOne('its input is one picture');
  if (most < 2) return oneByOne('switched off by batch_max');
  if (fixed !== null) return { pictures: Math.min(fixed, most), why: `its input is ${fixed} pictures` };
  return measured ? { pictures: Math.min(measured.pictures, most), why: measured.why } : oneByOne('not measured');
};

/** Longest run that pictures may be put together for. */
export const longestRun = (deadlineMs: Milliseconds): Milliseconds => SHARE_OF_DEADLINE * deadlineMs;

/** 1, 2, 4, … and `most` itself. */
export const sizesUpTo = (most: number): readonly number[] => {
  const sizes: number[] = [];
  for (let size = 1; size < most; size *= 2) sizes.push(size);
  return [...sizes, most];
};

/**
 * Finds how many pictures to run together: twice as many for as long as a picture's share of the time falls by a tenth each time. First
 * it is made sure that two pictures get together what they get alone. Never rejects: what fails is a reason for fewer.
 */
export const chooseBatch = async (trial: BatchTrial): Promise<BatchChoice> => {
  const { run, bytes, clock } = trial;
  const most = Math.min(trial.most, MAX_BATCH, Math.floor(MAX_INPUT_BYTES / (4 * bytes)));
  if (most < 2) return oneByOne(trial.most < 2 ? 'switched off by batch_max' : 'two pictures are too large for one run');
  const longest = longestRun(trial.deadlineMs);
  const took = async (pictures: readonly Uint8Array[]): Promise<Milliseconds> => {
    const began = clock.monotonic();
    await run(pictures);
    return clock.monotonic() - began;
  };
  try {
    const [dark, bright] = [noise(bytes, 0), noise(bytes, 128)];
    const alone = [await run([dark]), await run([bright])].map(([values = []]) => values);
    if (await took([dark]) > longest) return oneByOne(`a picture alone takes longer than ${longest} ms, a quarter of inference.deadline_ms`);
    const together = await run([dark, bright]);
    if (!alone.every((values, at) => alike(values, together[at] ?? []))) return oneByOne('two pictures together do not get what each gets alone');
    return await climb(sizesUpTo(most), (size) => took(Array.from({ length: size }, (_, at) => (at % 2 === 0 ? dark : bright))), longest, clock);
  } catch (error) {
    return oneByOne(`two pictures together fail: ${messageOf(error)}`);
  }
};

/** `took`: one run of so many pictures. Rejects only when one alone fails. */
const climb = async ([, ...sizes]: readonly number[], took: (size: number) => Promise<Milliseconds>, longest: Milliseconds, clock: Clock): Promise<BatchChoice> => {
  const began = clock.monotonic();
  const passed = (): Milliseconds => clock.monotonic() - began;
  let best = 1;
  const shares: string[] = [];
  let end = '';
  for (const size of sizes) {
    let times: readonly [Times, Times] | null;
    try {
      await took(size); // what the first run of a size has to set up
      times = await byTurns([() => took(best), () => took(size)], () => passed() > MOST_MS);
    } catch (error) {
      end = `; ${size} at a time: ${messageOf(error)}`;
      break;
    }
    if (times === null) {
      end = `; measuring ${size} at a time took too long`;
      break;
    }
    const [before, now] = times;
    if (shares.length === 0) shares.push(`1: ${shown(before.median)}`);
    shares.push(`${size}: ${shown(now.median / size)}`);
    if (now.median > longest) end = `; a run of ${size} takes longer than ${longest} ms, a quarter of inference.deadline_ms`;
    // By the usual run and by the quickest: that other work came between some of them makes no difference.
    const pays = (['median', 'least'] as const).every((of) => now[of] / size <= (1 - LEAST_GAIN) * before[of] / best);
    if (now.median > longest || !pays) break;
    best = size;
    if (size !== sizes.at(-1) && passed() > BUDGET_MS) {
      end = '; more were not tried';
      break;
    }
  }
  return { pictures: best, why: `measured, milliseconds a picture by pictures at a time: ${shares.join(', ')}${end}` };
};
