import { constants, getPriority, setPriority } from 'node:os';

const STEP = 5;

/**
 * Lets this process run behind its neighbours when the machine has no core to spare: what it does can wait some milliseconds, a packet cannot.
 * Needs no privilege; where the system refuses all the same, everything runs on as equals.
 */
export const yieldToMedia = (): void => {
  try {
    setPriority(Math.min(constants.priority.PRIORITY_LOW, getPriority() + STEP));
  } catch {
    // a sandbox without setpriority(2)
  }
};
