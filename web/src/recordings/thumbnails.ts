/** Pictures of moments, asked for a few at a time: what nobody waits for any more is not asked for at all, what was seen lately is kept. */
import { recordingsApi } from './api.ts';

const AT_ONCE = 4;
const KEPT = 300;

const kept = new Map<string, string>();
const waiting: (() => void)[] = [];
let running = 0;

const turn = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const go = (): void => { running++; resolve(); };
    if (running < AT_ONCE) { go(); return; }
    waiting.push(go);
    signal.addEventListener('abort', () => {
      const at = waiting.indexOf(go);
      if (at >= 0) { waiting.splice(at, 1); go(); }
    }, { once: true });
  });

const keep = (key: string, url: string): void => {
  kept.set(key, url);
  const [oldest] = kept;
  if (kept.size <= KEPT || !oldest) return;
  kept.delete(oldest[0]);
  URL.revokeObjectURL(oldest[1]);
};

/** The address of a picture of the moment `at` (Unix ms), to show at once. Throws when there is none, and when `signal` ends the wish. */
export const thumbnail = async (camera: string, at: number, width: number, signal: AbortSignal): Promise<string> => {
  const key = `${camera} ${at} ${width}`;
  const known = kept.get(key);
  if (known !== undefined) {
    kept.delete(key); // so that it is the newest again
    kept.set(key, known);
    return known;
  }
  await turn(signal);
  try {
    signal.throwIfAborted();
    const url = URL.createObjectURL(await recordingsApi.thumbnail(camera, at, width, signal));
    keep(key, url);
    return url;
  } finally {
    running--;
    waiting.shift()?.();
  }
};
