import { useRef } from 'preact/hooks';
import type { Segment, StoredDetection } from '../api.ts';

const STEPS_MS = [10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000, 7_200_000, 14_400_000];
const BUCKETS = 200;

/** Recorded stretches, gaps and detections (null: not asked for) between two instants (Unix ms). Mouse, touch and arrow keys pick a moment. */
export const Timeline = (props: {
  start: number; end: number; segments: readonly Segment[]; detections: readonly StoredDetection[] | null;
  position: number | null; onPick: (at: number) => void;
}) => {
  const bar = useRef<HTMLDivElement>(null);
  const span = props.end - props.start;
  const percent = (at: number): number => Math.max(0, Math.min(100, (100 * (at - props.start)) / span));
  const step = STEPS_MS.find((ms) => span / ms <= 8) ?? 28_800_000;
  const ticks: number[] = [];
  for (let at = Math.ceil(props.start / step) * step; at < props.end; at += step) ticks.push(at);

  const counts = new Array<number>(BUCKETS).fill(0);
  for (const detection of props.detections ?? []) {
    const bucket = Math.floor(((Date.parse(detection.captured_at) - props.start) / span) * BUCKETS);
    const count = counts[bucket];
    if (count !== undefined) counts[bucket] = count + 1;
  }
  const most = Math.max(1, ...counts);

  const pick = (event: MouseEvent): void => {
    const box = bar.current?.getBoundingClientRect();
    if (box) props.onPick(props.start + ((event.clientX - box.left) / box.width) * span);
  };
  const key = (event: KeyboardEvent): void => {
    const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (by === 0) return;
    event.preventDefault();
    props.onPick((props.position ?? props.end - 30_000) + by * (event.shiftKey ? 60_000 : 5_000));
  };

  return (
    <div class="timeline">
      <div ref={bar} class="track" role="slider" tabIndex={0} aria-label="Time line: choose a moment" aria-valuemin={props.start} aria-valuemax={props.end}
        aria-valuenow={props.position ?? props.start} aria-valuetext={new Date(props.position ?? props.start).toLocaleTimeString()} onClick={pick} onKeyDown={key}>
        {props.segments.map((segment) => {
          const from = Date.parse(segment.start);
          return <span key={segment.id} class={segment.open ? 'segment open' : 'segment'} style={{ left: `${percent(from)}%`, width: `${Math.max(0.1, percent(from + segment.duration * 1000) - percent(from))}%` }} />;
        })}
        {counts.map((count, i) => count > 0 && <span key={`d${i}`} class="found" style={{ left: `${(100 * i) / BUCKETS}%`, width: `${100 / BUCKETS}%`, height: `${15 + (35 * count) / most}%` }} />)}
        {props.position !== null && <span class="needle" style={{ left: `${percent(props.position)}%` }} />}
      </div>
      <div class="ticks" aria-hidden="true">
        {ticks.map((at) => <span key={at} style={{ left: `${percent(at)}%` }}>{new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', ...(step < 60_000 ? { second: '2-digit' } : {}) })}</span>)}
      </div>
      <div class="legend muted" aria-hidden="true"><span><i class="segment" />recorded</span>{props.detections && <span><i class="found" />detections</span>}<span><i />nothing recorded</span></div>
    </div>
  );
};
