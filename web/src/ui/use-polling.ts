import { useEffect } from 'preact/hooks';

/** Asks at once, and again so long after each answer, until the component goes or a key changes; not while nobody looks at the tab. `ask` never throws. */
export const usePolling = (ask: () => Promise<void>, everyMs: number, keys: readonly unknown[]): void => {
  useEffect(() => {
    let timer = 0;
    let stopped = false;
    const again = async (): Promise<void> => {
      if (!document.hidden) await ask();
      if (!stopped) timer = window.setTimeout(() => void again(), everyMs);
    };
    const seen = (): void => {
      if (document.hidden) return;
      clearTimeout(timer);
      void again();
    };
    void again();
    document.addEventListener('visibilitychange', seen);
    return () => {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', seen);
    };
  }, keys);
};
