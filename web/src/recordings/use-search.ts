import { useEffect, useRef, useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { cameBack } from '../router.ts';
import { recordingsApi } from './api.ts';
import type { Hit } from './api.ts';

const PAGE = 48;

export interface Found {
  readonly hits: readonly Hit[];
  readonly cursor: string | null;
  readonly state: 'searching' | 'done' | 'failed';
  readonly failure: string | null;
}

const NOTHING_YET: Found = { hits: [], cursor: null, state: 'searching', failure: null };

/** The last search, so that who comes back to it by the back button finds it as it was, with as many pages. */
let kept: { readonly query: string; readonly found: Found } | null = null;

const keptOf = (query: string): Found | null => (cameBack() && kept?.query === query ? kept.found : null);

/** What answers a query of `GET /v1/recordings`, page after page. */
export const useSearch = (query: string): Found & { readonly more: () => void; readonly again: () => void } => {
  const [found, setFound] = useState<Found>(() => keptOf(query) ?? NOTHING_YET);
  const asking = useRef<AbortController | null>(null);

  const ask = (cursor: string | null, before: readonly Hit[]): void => {
    asking.current?.abort();
    const mine = new AbortController();
    asking.current = mine;
    setFound((old) => ({ ...old, state: 'searching', failure: null }));
    recordingsApi.search(query, cursor, PAGE, mine.signal).then((page) => {
      if (page.items.length === 0 && page.next_cursor !== null) { ask(page.next_cursor, before); return; } // what was marked there is no longer recorded
      const result: Found = { hits: [...before, ...page.items], cursor: page.next_cursor, state: 'done', failure: null };
      kept = { query, found: result };
      setFound(result);
    }).catch((error: unknown) => {
      if (!mine.signal.aborted) setFound((old) => ({ ...old, state: 'failed', failure: inWords(error) }));
    });
  };
  useEffect(() => {
    const known = keptOf(query);
    if (known) setFound(known);
    else ask(null, []);
    return () => asking.current?.abort();
  }, [query]);
  return {
    ...found, again: () => ask(null, []),
    more: () => { if (found.state === 'done' && found.cursor !== null) ask(found.cursor, found.hits); },
  };
};
