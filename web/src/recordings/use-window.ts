import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, inWords } from '../api-error.ts';
import { api } from '../api.ts';
import type { Camera } from '../api.ts';
import { usePolling } from '../ui/use-polling.ts';
import { recordingsApi } from './api.ts';
import type { Gap, Mark } from './api.ts';
import { bucketsOf } from './seen.ts';
import type { Buckets, SeenTime } from './seen.ts';
import { stretchesOf } from './stretches.ts';
import type { Stretch } from './stretches.ts';
import { spanOf } from './time-window.ts';
import type { TimeWindow } from './time-window.ts';

const REFRESH_MS = 4000;
/** A wheel that turns asks once it rests. */
const REST_MS = 200;
/** What was detected is asked for again after as long as a part of the window is, and after this long at the latest. */
const SEEN_MS = 30_000;

export interface WindowContent {
  /** Null before the first answer. */
  readonly stretches: readonly Stretch[] | null;
  readonly gaps: readonly Gap[];
  readonly marks: readonly Mark[];
  /** Null where more was detected than can be told. */
  readonly seen: SeenTime | null;
  /** What of the window is not shown, in words. */
  readonly notShown: readonly string[];
  readonly camera: Camera | null;
  readonly failure: string | null;
  readonly reload: () => Promise<void>;
}

/** What there is in a window of a camera's recordings; `following`: the window ends now and goes on with the time, which `onNow` is told. */
export const useWindow = (id: string, shown: TimeWindow, following: boolean, onNow: (now: number) => void): WindowContent => {
  const [content, setContent] = useState<Omit<WindowContent, 'failure' | 'reload'>>({ stretches: null, gaps: [], marks: [], seen: null, notShown: [], camera: null });
  const [failure, setFailure] = useState<string | null>(null);
  const [rested, setRested] = useState(shown);
  const asked = useRef(0);
  const seenOf = useSeen(id);

  useEffect(() => {
    const timer = setTimeout(() => setRested(shown), content.stretches === null ? 0 : REST_MS);
    return () => clearTimeout(timer);
  }, [following ? spanOf(shown) : shown.start, following ? 0 : shown.end]);

  const load = async (): Promise<void> => {
    const turn = ++asked.current;
    const now = Date.now();
    const [from, to] = following ? [now - spanOf(rested), now] : [rested.start, rested.end];
    try {
      const [camera, recordings, gaps, marks, seen] = await Promise.all([
        // Recordings outlive their camera: without one they are shown under its id.
        api.camera(id).catch((error: unknown) => { if (error instanceof ApiError && error.status === 404) return null; throw error; }),
        recordingsApi.recordings(id, from, to), recordingsApi.gaps(id, from, to), recordingsApi.marks(id, from, to), seenOf({ start: from, end: to }),
      ]);
      if (turn !== asked.current) return; // another window is wanted meanwhile
      const notShown = [
        ...(seen === null ? ['detections: there are too many'] : seen.left_out > 0 ? [`detections of ${seen.left_out} classes`] : []),
        ...(marks.complete ? [] : [`all but the newest ${marks.items.length} marks`]), ...(gaps.complete ? [] : [`all but the first ${gaps.items.length} gaps`]), ...(recordings.complete ? [] : [`all but the newest ${recordings.items.length} recordings`]),
      ];
      setContent({ camera, stretches: stretchesOf(recordings.items), gaps: gaps.items, marks: marks.items, seen, notShown });
      setFailure(null);
      if (following) onNow(now);
    } catch (error) {
      if (turn === asked.current) setFailure(inWords(error));
    }
  };
  usePolling(load, REFRESH_MS, [id, following, following ? spanOf(rested) : rested.start, following ? 0 : rested.end]);
  return { ...content, failure, reload: load };
};

/** Asks what was detected in a window, unless it has the answer: parts that are minutes long need not be asked for every few seconds. */
const useSeen = (id: string): ((window: TimeWindow) => Promise<SeenTime | null>) => {
  const last = useRef<{ readonly id: string; readonly buckets: Buckets; readonly at: number; readonly answer: SeenTime | null } | null>(null);
  return async (window) => {
    const buckets = bucketsOf(window);
    const known = last.current;
    const now = performance.now();
    const fresh = Math.min(SEEN_MS, (buckets.to - buckets.from) / buckets.count);
    if (known?.id === id && known.buckets.from === buckets.from && known.buckets.to === buckets.to && now - known.at < fresh) return known.answer;
    const answer = await recordingsApi.seen(id, buckets).catch((error: unknown) => { if (error instanceof ApiError && error.code === 'TOO_MANY_SIGHTINGS') return null; throw error; });
    last.current = { id, buckets, at: now, answer };
    return answer;
  };
};
