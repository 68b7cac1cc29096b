import { useEffect, useRef, useState } from 'preact/hooks';
import type { Camera } from '../api.ts';
import { fromLocalInput, toLocalInput } from '../recordings/moments.ts';
import { NO_FILTERS, addressOf, furtherFilters, listOf } from '../recordings/search-query.ts';
import type { SearchFilters, TextFilter, Time } from '../recordings/search-query.ts';

/** Somebody who types rests for so long before it is searched. */
const REST_MS = 350;
const TIMES: readonly (readonly [Time, string])[] = [['', 'Any time'], ['today', 'Today'], ['yesterday', 'Yesterday'], ['week', '7 days'], ['custom', 'Custom']];

/** The questions of the search page. `onChange`'s `typing` is true while a word may not be finished. */
export const SearchFiltersForm = (props: { filters: SearchFilters; cameras: readonly Camera[]; onChange: (filters: SearchFilters, typing: boolean) => void }) => {
  const { filters, onChange } = props;
  const further = furtherFilters(filters);
  const [open, setOpen] = useState(further > 0);
  const [text, setText] = useState(filters.q);
  const box = useRef<HTMLInputElement>(null);
  const timer = useRef(0);
  useEffect(() => { setText(filters.q); }, [filters.q]);
  useEffect(() => {
    const key = (event: KeyboardEvent): void => {
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || (event.target instanceof Element && event.target.closest('input, textarea, select'))) return;
      event.preventDefault();
      box.current?.focus();
      box.current?.select();
    };
    addEventListener('keydown', key);
    return () => { clearTimeout(timer.current); removeEventListener('keydown', key); };
  }, []);

  const set = (change: Partial<SearchFilters>): void => {
    clearTimeout(timer.current);
    onChange({ ...filters, q: text.trim(), ...change }, false);
  };
  const typed = (value: string): void => {
    setText(value);
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => onChange({ ...filters, q: value.trim() }, true), REST_MS);
  };
  const field = (name: TextFilter, label: string, more: Readonly<Record<string, unknown>> = {}) => (
    <label>{label}<input name={name} value={filters[name]} autocomplete="off" maxLength={128} onChange={(event) => set({ [name]: event.currentTarget.value.trim() })} {...more} /></label>
  );
  return (
    <form class="filters" role="search" onSubmit={(event) => { event.preventDefault(); set({}); }}>
      <div class="filters-first">
        <label class="search-box"><span class="sr">Search</span>
          <input ref={box} type="search" name="q" value={text} maxLength={200} placeholder="Search words, work order, tag…" autocomplete="off" enterkeyhint="search" onInput={(event) => typed(event.currentTarget.value)} />
          <kbd aria-hidden="true">/</kbd>
        </label>
        <label class="camera-choice"><span class="sr">Camera</span>
          <select name="camera" value={filters.cameras.length > 1 ? '+' : filters.cameras[0] ?? ''} onChange={(event) => set({ cameras: event.currentTarget.value === '' ? [] : [event.currentTarget.value] })}>
            <option value="">All cameras</option>
            {filters.cameras.length > 1 && <option value="+">{filters.cameras.length} cameras</option>}
            {[...new Set([...props.cameras.map(({ id }) => id), ...filters.cameras])].map((id) => <option key={id} value={id}>{props.cameras.find((each) => each.id === id)?.name ?? id}</option>)}
          </select>
        </label>
        <button type="button" class="filters-more" aria-expanded={open} aria-controls="further" onClick={() => setOpen(!open)}>Filters{further > 0 && ` (${further})`}<span class="chevron" aria-hidden="true" /></button>
      </div>
      <div class="filters-time">
        <fieldset class="segmented"><legend class="sr">Time</legend>
          {TIMES.map(([value, words]) => <label key={value}><input type="radio" name="time" checked={filters.time === value} onChange={() => set({ time: value, from: '', to: '' })} /><span>{words}</span></label>)}
        </fieldset>
        {filters.time === 'custom' && (
          <div class="custom-time">
            <label><span>From</span><input type="datetime-local" name="from" step="1" value={toLocalInput(filters.from)} onChange={(event) => set({ from: fromLocalInput(event.currentTarget.value) })} /></label>
            <label><span>to</span><input type="datetime-local" name="to" step="1" value={toLocalInput(filters.to)} onChange={(event) => set({ to: fromLocalInput(event.currentTarget.value) })} /></label>
          </div>
        )}
      </div>
      <div id="further" class="card fields" hidden={!open}>
        {field('work_order_id', 'Work order')}
        {field('product_type', 'Product type')}
        {field('machine_number', 'Machine')}
        {field('production_date', 'Production date', { type: 'date' })}
        {field('inspection_result', 'Inspection result', { list: 'results', placeholder: 'OK, NG' })}
        {field('class', 'Detected class', { placeholder: 'scratch' })}
        <label>Confidence at least<select name="min_confidence" value={String(filters.minConfidence ?? '')} disabled={filters.class === ''} onChange={(event) => set({ minConfidence: event.currentTarget.value === '' ? null : Number(event.currentTarget.value) })}>
          <option value="">any</option>
          {[...new Set([0.5, 0.6, 0.7, 0.8, 0.9, ...(filters.minConfidence === null ? [] : [filters.minConfidence])])].map((each) => <option key={each} value={String(each)}>{Math.round(each * 100)} %</option>)}
        </select></label>
        <label>Tags<input name="tags" value={filters.tags.join(', ')} placeholder="scratch, belt 2" autocomplete="off" onChange={(event) => set({ tags: listOf(event.currentTarget.value) })} /></label>
        <datalist id="results"><option value="OK" /><option value="NG" /></datalist>
      </div>
      {addressOf(filters) !== '' && <button type="button" class="quiet clear" onClick={() => { setText(''); clearTimeout(timer.current); onChange(NO_FILTERS, false); }}>Clear all</button>}
    </form>
  );
};
