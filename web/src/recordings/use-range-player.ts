import { useEffect, useRef, useState } from 'preact/hooks';
import type { RefObject } from 'preact';
import { recordingsApi } from './api.ts';
import { RangePlayer } from './range-player.ts';
import type { PlayerState, RangePlayerOptions } from './range-player.ts';

/** A player of a camera's recordings in the `<video>` that gets the ref. */
export const useRangePlayer = (camera: string, after: RangePlayerOptions['after'], before: RangePlayerOptions['before']): { video: RefObject<HTMLVideoElement | null>; player: RangePlayer | null; state: PlayerState } => {
  const video = useRef<HTMLVideoElement>(null);
  const around = useRef({ after, before });
  around.current = { after, before };
  const [player, setPlayer] = useState<RangePlayer | null>(null);
  const [state, setState] = useState<PlayerState>({ range: null, position: null, playing: false, rate: 1, failure: null });
  useEffect(() => {
    if (!video.current) return;
    const it = new RangePlayer({
      video: video.current, url: (from, to) => recordingsApi.playbackUrl(camera, from, to), onState: setState,
      after: (at) => around.current.after(at), before: (at) => around.current.before(at),
    });
    setPlayer(it);
    return () => it[Symbol.dispose]();
  }, [camera]);
  return { video, player, state };
};
