import { toLocalInput } from '../recordings/moments.ts';
import { spanOf } from '../recordings/time-window.ts';
import type { TimeWindow } from '../recordings/time-window.ts';

const WINDOWS: readonly { readonly label: string; readonly minutes: number }[] = [
  { label: '5 min', minutes: 5 },
  { label: '15 min', minutes: 15 },
  { label: '1 h', minutes: 60 },
  { label: '6 h', minutes: 360 },
  { label: '24 h', minutes: 1440 },
];

/** How much of the time the time line shows, which, and detections of which class (null: of all). */
export const WindowControls = (props: {
  window: TimeWindow; following: boolean; classes: readonly string[]; className: string | null; onClass: (name: string | null) => void; onSpan: (ms: number) => void; onDay: (midnight: number) => void; onMove: (share: number) => void; onZoom: (factor: number) => void; onNow: () => void;
}) => {
  const { window: shown, following, classes, className } = props;
  const choice = className === null || classes.includes(className) ? classes : [...classes, className];
  return (
    <div class="controls window-controls">
      <fieldset class="segmented"><legend class="sr">Window</legend>
        {WINDOWS.map(({ label, minutes }) => <label key={minutes}><input type="radio" name="window" checked={Math.abs(spanOf(shown) - minutes * 60_000) < 1000} onChange={() => props.onSpan(minutes * 60_000)} /><span>{label}</span></label>)}
      </fieldset>
      <label class="day"><span class="sr">Day</span><input type="date" value={toLocalInput(new Date(shown.start).toISOString()).slice(0, 10)} onChange={(event) => {
        const { value } = event.currentTarget;
        if (value !== '') props.onDay(new Date(`${value}T00:00:00`).getTime());
      }} /></label>
      <div class="group">
        <button type="button" onClick={() => props.onMove(-0.5)} aria-label="Earlier">‹ Earlier</button>
        <button type="button" onClick={() => props.onMove(0.5)} disabled={following} aria-label="Later">Later ›</button>
        <button type="button" onClick={props.onNow} disabled={following}>Now</button>
      </div>
      <div class="group tight">
        <button type="button" class="icon" aria-label="Zoom out" onClick={() => props.onZoom(2)}>−</button>
        <button type="button" class="icon" aria-label="Zoom in" onClick={() => props.onZoom(0.5)}>+</button>
      </div>
      {(choice.length > 1 || className !== null) && (
        <label class="class-choice"><span class="sr">Detections on the time line</span>
          <select name="class" value={className ?? ''} onChange={(event) => props.onClass(event.currentTarget.value === '' ? null : event.currentTarget.value)}>
            <option value="">All detections</option>
            {choice.map((name) => <option key={name} value={name}>{name}</option>)}
          </select>
        </label>
      )}
    </div>
  );
};
