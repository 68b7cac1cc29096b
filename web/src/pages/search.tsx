import { useEffect, useMemo, useState } from 'preact/hooks';
import { api } from '../api.ts';
import type { Camera } from '../api.ts';
import { addressOf, filtersOf, requestOf } from '../recordings/search-query.ts';
import type { SearchFilters } from '../recordings/search-query.ts';
import { useSearch } from '../recordings/use-search.ts';
import { navigate, replaceAddress } from '../router.ts';
import { Alarms } from '../ui/alarms.tsx';
import { HitList } from '../ui/hit-list.tsx';
import { SearchFiltersForm } from '../ui/search-filters.tsx';

const pathOf = (filters: SearchFilters): string => {
  const query = addressOf(filters);
  return query === '' ? '/recordings' : `/recordings?${query}`;
};

/** Finds recordings by product, defect, time and words. What is searched for is the page's address. */
export const Search = (props: { search: string }) => {
  const filters = useMemo(() => filtersOf(props.search), [props.search]);
  const [cameras, setCameras] = useState<readonly Camera[]>([]);
  // Without names cameras are shown by their ids; the list itself says when the server does not answer.
  useEffect(() => { api.cameras().then(setCameras).catch(() => undefined); }, []);
  const found = useSearch(requestOf(filters, Date.now()));
  const nameOf = (id: string): string => cameras.find((camera) => camera.id === id)?.name ?? id;
  const { hits, state } = found;
  const anything = addressOf(filters) === '';
  return (
    <section class="search-page">
      <div class="title"><div class="name"><h1>Recordings</h1><span class="muted" role="status">{state === 'searching' && hits.length === 0 ? 'Searching…' : counted(hits.length, found.cursor !== null)}</span></div></div>
      <Alarms nameOf={nameOf} />
      <SearchFiltersForm filters={filters} cameras={cameras} onChange={(next, typing) => (typing ? replaceAddress : navigate)(pathOf(next))} />
      {state === 'failed' && <div class="search-failed"><p class="failure" role="alert">{found.failure}</p><button type="button" onClick={found.again}>Try again</button></div>}
      {state === 'done' && hits.length === 0 && (
        <div class="empty">
          {anything
            ? <><p>Nothing has been recorded yet.</p><p>Publish to a camera whose recording is on; it appears here within seconds.</p></>
            : <><p>Nothing matches.</p><p>Take a filter away, or choose a longer time. Work orders, products and tags are found where somebody marked a range with them, on a camera’s recordings.</p></>}
        </div>
      )}
      <div class={state === 'searching' && hits.length > 0 ? 'results searching' : 'results'}>
        {hits.length > 0 && <HitList key={props.search} hits={hits} nameOf={nameOf} more={found.cursor === null ? null : found.more} />}
      </div>
    </section>
  );
};

const counted = (hits: number, more: boolean): string => {
  if (hits === 0) return '';
  return more ? `the newest ${hits}` : hits === 1 ? '1 found' : `${hits} found`;
};
