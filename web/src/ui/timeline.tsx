import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Gap, Mark } from '../recordings/api.ts';
import { clock, moment } from '../recordings/moments.ts';
import { seenAt } from '../recordings/seen.ts';
import type { SeenPart } from '../recordings/seen.ts';
import type { Stretch } from '../recordings/stretches.ts';
import { barOf, fractionOf, spanOf, ticksOf, zoomed } from '../recordings/time-window.ts';
import type { TimeWindow } from '../recordings/time-window.ts';
import { lossOf } from './gaps.tsx';
import { KIND_WORDS } from './mark-badges.tsx';
import { ScrubPreview } from './scrub-preview.tsx';
import { useTimelinePointers } from './use-timeline-pointers.ts';

const TICK_PIXELS = 90;

export interface Selection { readonly from: number; readonly to: number }

/**
 * A window of a camera's recordings (Unix ms). A click plays from there, dragging marks a range; dragging on the scale looks for a moment; wheel, pinch
 * and +/- zoom; arrow keys move the needle. `seen`: the parts of the time in which something was detected. `notShown`: of the window, in words.
 */
export const Timeline = (props: {
  camera: string; window: TimeWindow; latest: number; stretches: readonly Stretch[]; gaps: readonly Gap[]; marks: readonly Mark[]; seen: readonly SeenPart[]; notShown: readonly string[];
  position: number | null; selection: Selection | null;
  onPick: (at: number) => void; onSelect: (selection: Selection | null) => void; onWindow: (window: TimeWindow) => void; onMark: (mark: Mark) => void; children: ComponentChildren;
}) => {
  const { window: shown, latest, stretches, seen, position, selection } = props;
  const bar = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(800);
  const [hover, setHover] = useState<number | null>(null);
  const pointers = useTimelinePointers({
    bar, window: shown, latest, selection, onPick: props.onPick, onSelect: props.onSelect, onWindow: props.onWindow, onHover: setHover,
  });

  useEffect(() => {
    if (!bar.current) return;
    const watch = new ResizeObserver(([entry]) => { if (entry) setWidth(entry.contentRect.width); });
    watch.observe(bar.current);
    return () => watch.disconnect();
  }, []);

  const key = (event: KeyboardEvent): void => {
    const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    const at = position ?? shown.end - 30_000;
    if (by !== 0) props.onPick(at + by * (event.shiftKey ? 60_000 : 5_000));
    else if (event.key === '+' || event.key === '-') props.onWindow(zoomed(shown, event.key === '+' ? 0.5 : 2, position ?? (shown.start + shown.end) / 2, latest));
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const { at: ticks, step } = ticksOf(shown, Math.max(2, Math.floor(width / TICK_PIXELS)));
  const labelled = ticks.filter((at) => { const x = fractionOf(shown, at) * width; return x >= TICK_PIXELS / 2.5 && x <= width - TICK_PIXELS / 2.5; }); // whole, or not at all
  const label = (at: number): string =>
    (step >= 86_400_000 || (spanOf(shown) > 86_400_000 && new Date(at).getHours() === 0)
      ? new Date(at).toLocaleDateString([], { day: 'numeric', month: 'short' })
      : new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', ...(step < 60_000 ? { second: '2-digit' } : {}) }));
  const selected = selection && barOf(shown, selection.from, selection.to);
  return (
    <div class="timeline">
      <ScrubPreview camera={props.camera} window={shown} stretches={stretches} seen={seen} at={hover} width={width} />
      <div ref={bar} class="track" role="slider" tabIndex={0} aria-label="Time line: choose a moment, or drag to mark a range" aria-valuemin={shown.start} aria-valuemax={shown.end}
        aria-valuenow={position ?? shown.start} aria-valuetext={[clock(position ?? shown.start), ...(position === null ? [] : [seenAt(seen, position)])].filter((each) => each !== '').join(', ')} onKeyDown={key} {...pointers.track}>
        {stretches.map((stretch) => {
          const style = barOf(shown, stretch.start, stretch.end);
          return style && <span key={stretch.start} class={stretch.open ? 'segment open' : 'segment'} style={style} />;
        })}
        {seen.map((part) => {
          const style = barOf(shown, part.start, part.end);
          return style && <span key={`d${part.start}`} class="found" style={{ ...style, height: `${12 + 38 * part.height}%` }} />;
        })}
        {selected && <span class="selection" style={selected} />}
        {hover !== null && <span class="cursor" style={{ left: `${100 * fractionOf(shown, hover)}%` }} />}
        {position !== null && position >= shown.start && position <= shown.end && <span class="needle" style={{ left: `${100 * fractionOf(shown, position)}%` }} />}
      </div>
      {selection && selected && (['from', 'to'] as const).map((end) => selection[end] >= shown.start && selection[end] <= shown.end && (
        <button key={end} type="button" class={`handle ${end}`} style={{ left: `${100 * fractionOf(shown, selection[end])}%` }} aria-label={end === 'from' ? 'Begin of the range' : 'End of the range'} title={moment(selection[end])} {...pointers.handle(end)} />
      ))}
      <div class="lane">
        {props.gaps.map((gap) => {
          const style = barOf(shown, Date.parse(gap.start), Date.parse(gap.end), 0.4);
          const words = `${moment(Date.parse(gap.start))}: ${gap.duration < 1 ? 'under 1 s' : `${gap.duration.toFixed(0)} s`} ${lossOf(gap)}`;
          return style && <span key={gap.end} class="gap" style={style} title={words} />;
        })}
        {props.marks.map((mark) => {
          const style = barOf(shown, Date.parse(mark.from), Date.parse(mark.to), 0.6);
          const words = `${KIND_WORDS[mark.kind]}${mark.title === null ? '' : `: ${mark.title}`}, ${moment(Date.parse(mark.from))}`;
          return style && <button key={mark.id} type="button" class={`mark k-${mark.kind}`} style={style} title={words} aria-label={words} onClick={() => props.onMark(mark)} />;
        })}
      </div>
      <div class="ticks" aria-hidden="true" title="Drag to look for a moment" {...pointers.scale}>
        {labelled.map((at) => <span key={at} style={{ left: `${100 * fractionOf(shown, at)}%` }}>{label(at)}</span>)}
      </div>
      <div class="timeline-foot">
        {props.children}
        <div class="legend muted" aria-hidden="true">
          <span><i class="segment" />recorded</span>{seen.length > 0 && <span><i class="found" />detections</span>}
          {props.marks.length > 0 && <span><i class="mark" />marks</span>}{props.gaps.length > 0 && <span><i class="gap" />gaps</span>}
        </div>
      </div>
      {props.notShown.length > 0 && <p class="not-shown small" role="status">Not shown: {props.notShown.join(', ')}. Zoom in to see them.</p>}
    </div>
  );
};

