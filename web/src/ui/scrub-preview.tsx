import { useEffect, useRef, useState } from 'preact/hooks';
import { moment } from '../recordings/moments.ts';
import { seenAt } from '../recordings/seen.ts';
import type { SeenPart } from '../recordings/seen.ts';
import type { Stretch } from '../recordings/stretches.ts';
import { thumbnail } from '../recordings/thumbnails.ts';
import { fractionOf, spanOf } from '../recordings/time-window.ts';
import type { TimeWindow } from '../recordings/time-window.ts';

const WIDTH = 192;
/** A pointer that hurries past asks for nothing. */
const REST_MS = 60;

/** The picture of the moment that is pointed at on the time line, and what was detected then, above it. Nothing while `at` is null. */
export const ScrubPreview = (props: { camera: string; window: TimeWindow; stretches: readonly Stretch[]; seen: readonly SeenPart[]; at: number | null; width: number }) => {
  const { camera, window: shown, at, width } = props;
  const [picture, setPicture] = useState<string | null>(null);
  const asked = useRef<AbortController | null>(null);
  // One picture for each few pixels: those are the moments a hand can tell apart.
  const grain = Math.max(40, (spanOf(shown) / Math.max(1, width)) * 3);
  const wanted = at === null ? null : Math.round(at / grain) * grain;
  const recorded = wanted !== null && props.stretches.some(({ start, end }) => wanted >= start && wanted < end);

  useEffect(() => {
    if (wanted === null) { setPicture(null); return; }
    if (!recorded) { setPicture(null); return; }
    const wish = new AbortController();
    asked.current = wish;
    const timer = setTimeout(() => {
      thumbnail(camera, Math.round(wanted), WIDTH, wish.signal).then(setPicture).catch(() => { if (!wish.signal.aborted) setPicture(null); });
    }, REST_MS);
    return () => { clearTimeout(timer); wish.abort(); };
  }, [camera, wanted, recorded]);

  if (at === null) return null;
  const seen = seenAt(props.seen, at);
  const left = Math.max(WIDTH / 2, Math.min(width - WIDTH / 2, fractionOf(shown, at) * width));
  return (
    <div class="preview-frame" style={{ left: `${left}px` }} aria-hidden="true">
      {recorded && <div class="thumb">{picture !== null && <img src={picture} alt="" />}</div>}
      <span>{recorded ? moment(at) : `${moment(at)}, nothing recorded`}</span>
      {seen !== '' && <span class="seen">{seen}</span>}
    </div>
  );
};
