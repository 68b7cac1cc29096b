import { useEffect, useRef } from 'preact/hooks';
import type { PlayerState, RangePlayer } from './range-player.ts';

interface Options {
  readonly player: RangePlayer | null;
  readonly state: PlayerState;
  readonly onIn: () => void;
  readonly onOut: () => void;
  readonly onClear: () => void;
}

/** Whether a key is typed into something, or works what has the focus. */
const isTaken = (event: KeyboardEvent): boolean => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return true;
  const it = event.target instanceof Element ? event.target : null;
  if (it?.closest('input:not([type=radio]), textarea, select')) return true;
  return event.key === ' ' && it?.closest('button, a, summary') != null;
};

/** The keys editors of film are used to, wherever the focus is on the page. */
export const usePlayerKeys = (options: Options): void => {
  const now = useRef(options);
  now.current = options;
  useEffect(() => {
    const key = (event: KeyboardEvent): void => {
      if (isTaken(event)) return;
      const { player, state, onIn, onOut, onClear } = now.current;
      switch (event.key.length === 1 ? event.key.toLowerCase() : event.key) {
        case ' ': player?.toggle(); break;
        case 'k': player?.pause(); break;
        case 'l': if (state.playing && state.rate > 0) player?.changeRate(1); else player?.setRate(1); break;
        case 'j': if (state.playing && state.rate < 0) player?.changeRate(1); else player?.setRate(-1); break;
        case ',': player?.step(-1); break;
        case '.': player?.step(1); break;
        case 'i': onIn(); break;
        case 'o': onOut(); break;
        case 'Escape': onClear(); break;
        default: return;
      }
      event.preventDefault();
    };
    addEventListener('keydown', key);
    return () => removeEventListener('keydown', key);
  }, []);
};
