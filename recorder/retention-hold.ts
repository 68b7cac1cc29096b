/**
 * The guard of the rolling window: a run that would delete more than half of everything at once does not, but asks. A clock that jumps, a window
 * made shorter by mistake, or a server that was off for days must not cost the recordings. What is held stays until an operator confirms, through
 * restarts, or until the disk is so full that recording would stop.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Milliseconds } from '../core/units.ts';
import type { Logger } from '../platform/logging.ts';
import type { SegmentRecord } from './port.ts';
import type { RetentionPlan } from './retention-policy.ts';

/** Beside the cameras' folders. */
export const HOLD_FILE = 'retention-hold.json';
/** Fewer are soon recorded again; no question is worth it. */
const FEW: Milliseconds = 5 * 60_000;

export interface Hold {
  /** When it began, Unix ms: its name towards the control plane. */
  readonly since: Milliseconds;
  /** Held: what began up to here, Unix ms. */
  readonly through: Milliseconds;
}

/** Whether a plan is one to ask about: more than half of all bytes, and more than a few minutes in length. */
export const isDrastic = ({ expire, expireBytes }: Pick<RetentionPlan, 'expire' | 'expireBytes'>, totalBytes: number): boolean =>
  expireBytes * 2 > totalBytes && expire.reduce((length, { duration }) => length + duration, 0) > FEW;

/** What of a plan may go now. Nothing held does, except as much as a disk that is nearly full needs, the oldest first. */
export const released = ({ expire, neededBytes }: Pick<RetentionPlan, 'expire' | 'neededBytes'>, hold: Hold | undefined): readonly SegmentRecord[] => {
  let missing = neededBytes;
  return expire.filter(({ start, bytes }) => {
    const goes = hold === undefined || start > hold.through || missing > 0;
    if (goes) missing -= bytes;
    return goes;
  });
};

/** The hold as it stands in the recordings directory; undefined: none, or a file that makes no sense. */
export const readHold = async (directory: string): Promise<Hold | undefined> => {
  try {
    const { since, through } = JSON.parse(await readFile(join(directory, HOLD_FILE), 'utf8')) as Partial<Hold>;
    return typeof since === 'number' && typeof through === 'number' ? { since, through } : undefined;
  } catch {
    return undefined;
  }
};

/** Notes a hold, or that there is none any more. A disk that refuses costs only that a restart asks anew. Never throws. */
export const writeHold = async (directory: string, hold: Hold | undefined, logger: Logger): Promise<void> => {
  const path = join(directory, HOLD_FILE);
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(`${path}.new`, hold === undefined ? '{}' : JSON.stringify(hold));
    await rename(`${path}.new`, path);
  } catch (error) {
    logger.warn({ path, err: error }, 'what retention holds could not be noted');
  }
};
