import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, inWords } from '../api-error.ts';
import { api } from '../api.ts';
import type { Camera } from '../api.ts';
import { usePolling } from '../ui/use-polling.ts';
import { recordingsApi } from './api.ts';
import type { Gap, Mark, StoredDetection } from './api.ts';
import { stretchesOf } from './stretches.ts';
import type { Stretch } from './stretches.ts';
import { spanOf } from './time-window.ts';
import type { TimeWindow } from './time-window.ts';

const REFRESH_MS = 4000;
/** A wheel that turns asks once it rests. */
const REST_MS = 200;
/** Detections are asked for in windows this short: longer ones hold too many. */
export const DETECTIONS_MS = 15 * 60_000;

export interface WindowContent {
  /** Null before the first answer. */
  readonly stretches: readonly Stretch[] | null;
  readonly gaps: readonly Gap[];
  readonly marks: readonly Mark[];
  /** Null where the window is too long for them. */
  readonly detections: readonly StoredDetection[] | null;
  readonly camera: Camera | null;
  readonly failure: string | null;
  readonly reload: () => Promise<void>;
}

/** What there is in a window of a camera's recordings; `following`: the window ends now and goes on with the time, which `onNow` is told. */
export const useWindow = (id: string, shown: TimeWindow, following: boolean, onNow: (now: number) => void): WindowContent => {
  const [content, setContent] = useState<Omit<WindowContent, 'failure' | 'reload'>>({ stretches: null, gaps: [], marks: [], detections: null, camera: null });
  const [failure, setFailure] = useState<string | null>(null);
  const [rested, setRested] = useState(shown);
  const asked = useRef(0);

  useEffect(() => {
    const timer = setTimeout(() => setRested(shown), content.stretches === null ? 0 : REST_MS);
    return () => clearTimeout(timer);
  }, [following ? spanOf(shown) : shown.start, following ? 0 : shown.end]);

  const load = async (): Promise<void> => {
    const turn = ++asked.current;
    const now = Date.now();
    const [from, to] = following ? [now - spanOf(rested), now] : [rested.start, rested.end];
    try {
      const [camera, recordings, gaps, marks, detections] = await Promise.all([
        // Recordings outlive their camera: without one they are shown under its id.
        api.camera(id).catch((error: unknown) => { if (error instanceof ApiError && error.status === 404) return null; throw error; }),
        recordingsApi.recordings(id, from, to), recordingsApi.gaps(id, from, to), recordingsApi.marks(id, from, to),
        to - from <= DETECTIONS_MS ? recordingsApi.detections(id, from, to) : null,
      ]);
      if (turn !== asked.current) return; // another window is wanted meanwhile
      setContent({ camera, stretches: stretchesOf(recordings), gaps, marks, detections });
      setFailure(null);
      if (following) onNow(now);
    } catch (error) {
      if (turn === asked.current) setFailure(inWords(error));
    }
  };
  usePolling(load, REFRESH_MS, [id, following, following ? spanOf(rested) : rested.start, following ? 0 : rested.end]);
  return { ...content, failure, reload: load };
};
