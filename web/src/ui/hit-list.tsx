import { useEffect, useRef, useState } from 'preact/hooks';
import type { Hit } from '../recordings/api.ts';
import { HitCard } from './hit-card.tsx';

/** How many columns the grid has now, as the browser laid it out. */
const columnsOf = (list: HTMLElement): number => getComputedStyle(list).gridTemplateColumns.split(' ').length;

/** Hits in a grid through which the arrow keys move; more are asked for when the end comes near. */
export const HitList = (props: { hits: readonly Hit[]; nameOf: (camera: string) => string; more: (() => void) | null }) => {
  const { hits, more } = props;
  const list = useRef<HTMLUListElement>(null);
  const end = useRef<HTMLDivElement>(null);
  const [current, setCurrent] = useState(0);
  const latest = useRef(more);
  latest.current = more;

  useEffect(() => {
    // Several at once on a busy machine: the last one tells how it is now.
    const watch = new IntersectionObserver((entries) => { if (entries.at(-1)?.isIntersecting === true) latest.current?.(); }, { rootMargin: '600px' });
    if (end.current) watch.observe(end.current);
    return () => watch.disconnect();
  }, [hits.length, more === null]);

  const key = (event: KeyboardEvent): void => {
    if (!list.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const row = columnsOf(list.current);
    const by: Readonly<Record<string, number>> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row, Home: -current, End: hits.length - 1 - current };
    const step = by[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = current + step;
    if (next < 0 || next >= hits.length) return;
    list.current.querySelectorAll<HTMLElement>('a.hit')[next]?.focus();
  };
  return (
    <>
      <ul ref={list} class="hits" aria-label="What was found" onKeyDown={key}>
        {hits.map((hit, i) => (
          <li key={`${hit.mark?.id ?? ''} ${hit.camera} ${hit.start} ${hit.detections?.model ?? ''}`}><HitCard hit={hit} camera={props.nameOf(hit.camera)} tabIndex={i === Math.min(current, hits.length - 1) ? 0 : -1} onFocus={() => setCurrent(i)} /></li>
        ))}
      </ul>
      <div ref={end} class="more">{more && <button type="button" onClick={more}>More</button>}</div>
    </>
  );
};
