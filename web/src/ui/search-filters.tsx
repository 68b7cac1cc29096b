import { useEffect, useRef, useState } from 'preact/hooks';
import type { Camera } from '../api.ts';
import { fromLocalInput, toLocalInput } from '../recordings/moments.ts';
import { FILTER_WORDS, chipsOf } from '../recordings/search-chips.ts';
import { NO_FILTERS, NUMBER_FILTERS, addressOf, dayOf, listOf, numberOf } from '../recordings/search-query.ts';
import type { DayFilter, NumberFilter, SearchFilters, Source, TextFilter, Time } from '../recordings/search-query.ts';
import { DraftInput } from './draft-input.tsx';

/** Somebody who types rests for so long before it is searched. */
const REST_MS = 350;
const TIMES: readonly (readonly [Time, string])[] = [['', 'Any time'], ['today', 'Today'], ['yesterday', 'Yesterday'], ['week', '7 days'], ['custom', 'Custom']];
const SURE = [0.5, 0.6, 0.7, 0.8, 0.9];

/** The questions of the search page. `onChange`'s `typing` is true while a word may not be finished. */
export const SearchFiltersForm = (props: { filters: SearchFilters; cameras: readonly Camera[]; onChange: (filters: SearchFilters, typing: boolean) => void }) => {
  const { filters, onChange } = props;
  const chips = chipsOf(filters);
  const rare = chips.filter((chip) => chip.rare).length;
  // What is set is told below the panel: hits need not wait behind it.
  const [open, setOpen] = useState(false);
  const [all, setAll] = useState(rare > 0);
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
  const field = (name: Exclude<TextFilter, 'q'>, more: Readonly<Record<string, unknown>> = {}) => (
    <label>{FILTER_WORDS[name]}<DraftInput name={name} value={filters[name]} onDone={({ value }) => set({ [name]: value.trim() })} more={{ maxLength: 128, ...more }} /></label>
  );
  const number = (name: NumberFilter, label: string, more: Readonly<Record<string, unknown>> = {}) => {
    const [least, most] = NUMBER_FILTERS[name];
    return (
      <label>{label}<DraftInput name={name} value={String(filters[name] ?? '')} onDone={(input) => { if (input.reportValidity()) set({ [name]: numberOf(name, input.value) }); }}
        more={{ type: 'number', min: least, max: most, step: 1, inputMode: 'numeric', ...more }} /></label>
    );
  };
  const day = (name: DayFilter, label: string, bounds: Readonly<Record<string, string>>) => (
    // A year that is being typed is one of long ago.
    <label>{label}<DraftInput name={name} value={filters[name]} onDone={({ value }) => { if (value === dayOf(value)) set({ [name]: value }); }} more={{ type: 'date', ...bounds }} /></label>
  );
  const noClass = filters.class === '';
  return (
    <form class="filters" role="search" noValidate onSubmit={(event) => { event.preventDefault(); set({}); }}>
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
        <button type="button" class="filters-more" aria-expanded={open} aria-controls="further" onClick={() => setOpen(!open)}>Filters{chips.length > 0 && ` (${chips.length})`}<span class="chevron" aria-hidden="true" /></button>
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
      <div id="further" class="card further" hidden={!open}>
        <div class="fields">
          {field('work_order_id')}
          {field('product_type')}
          {field('machine_number')}
          {field('inspection_result', { list: 'results', placeholder: 'OK, NG', maxLength: 32 })}
          {field('class', { placeholder: 'scratch' })}
          <label>Tags<DraftInput name="tags" value={filters.tags.join(', ')} onDone={({ value }) => set({ tags: listOf(value) })} more={{ placeholder: 'scratch, belt 2' }} /></label>
          <datalist id="results"><option value="OK" /><option value="NG" /></datalist>
        </div>
        <button type="button" class="quiet filters-all" aria-expanded={all} aria-controls="rare" onClick={() => setAll(!all)}>{all ? 'Fewer filters' : `More filters${rare > 0 ? ` (${rare})` : ''}`}<span class="chevron" aria-hidden="true" /></button>
        <div id="rare" class="rare" hidden={!all}>
          <fieldset><legend>Product and inspection</legend>
            <div class="fields">
              {field('product_id')}
              {field('inspection_id')}
              {field('instruction_id')}
              {number('monthly_sequence', FILTER_WORDS.monthly_sequence)}
              {day('production_date_from', 'Produced from', filters.production_date_to === '' ? {} : { max: filters.production_date_to })}
              {day('production_date_to', 'Produced until', filters.production_date_from === '' ? {} : { min: filters.production_date_from })}
            </div>
          </fieldset>
          <fieldset disabled={noClass} aria-describedby="of-class"><legend>What was detected</legend>
            <div class="fields">
              <label>At least so sure<select name="min_confidence" value={String(filters.minConfidence ?? '')} onChange={(event) => set({ minConfidence: event.currentTarget.value === '' ? null : Number(event.currentTarget.value) })}>
                <option value="">Any</option>
                {[...new Set([...SURE, ...(filters.minConfidence === null ? [] : [filters.minConfidence])])].map((each) => <option key={each} value={String(each)}>{Math.round(each * 100)} %</option>)}
              </select></label>
              {number('min_count', 'Detections, at least', { placeholder: 'Any' })}
              {number('min_at_once', 'At once, at least', { placeholder: 'Any' })}
              <label>Detected<select name="source" value={filters.source} onChange={(event) => set({ source: event.currentTarget.value as Source })}>
                <option value="">Live or by analysis</option>
                <option value="live">Live</option>
                <option value="analysis">By analysis of the recording</option>
              </select></label>
            </div>
            <p id="of-class" class="muted small" hidden={!noClass}>Name a detected class first.</p>
          </fieldset>
        </div>
      </div>
      {addressOf(filters) !== '' && (
        <div class="chips">
          {chips.map(({ words, without }) => <button key={words} type="button" class="chip" aria-label={`Take away: ${words}`} onClick={() => set({ ...without, q: text.trim() })}><span>{words}</span><span aria-hidden="true">×</span></button>)}
          <button type="button" class="quiet clear" onClick={() => { setText(''); clearTimeout(timer.current); onChange(NO_FILTERS, false); }}>Clear all</button>
        </div>
      )}
    </form>
  );
};
