import { useEffect, useRef } from 'preact/hooks';
import type { RefObject } from 'preact';
import { heldBy, momentAt, moved, spanOf, zoomed } from '../recordings/time-window.ts';
import type { TimeWindow } from '../recordings/time-window.ts';
import type { Selection } from './timeline.tsx';

/** A finger or a hand that clicks moves less than this. */
const CLICK_PIXELS = 6;
const LEAST_RANGE_MS = 200;

interface Options {
  readonly bar: RefObject<HTMLDivElement | null>;
  readonly window: TimeWindow;
  readonly latest: number;
  readonly selection: Selection | null;
  readonly onPick: (at: number) => void;
  /** Null: what was there before is to be there again, and that was none. */
  readonly onSelect: (selection: Selection | null) => void;
  readonly onWindow: (window: TimeWindow) => void;
  /** The moment that is pointed at; null: none. */
  readonly onHover: (at: number | null) => void;
}

/** Mouse, pen and fingers on a time line: click, drag a range, drag on the scale, wheel, pinch, and the handles of a range. */
export const useTimelinePointers = (options: Options) => {
  const now = useRef(options);
  now.current = options;
  /** Where each pointer that is down is, and where the first began. */
  const down = useRef(new Map<number, number>());
  const began = useRef<{ readonly x: number; readonly at: number } | null>(null);
  const dragging = useRef(false);
  /** What was marked before a finger began to drag. */
  const marked = useRef<Selection | null>(null);
  /** The moments that two fingers took hold of, by pointer. */
  const held = useRef<ReadonlyMap<number, number>>(new Map());

  const placeOf = (clientX: number): number => {
    const box = now.current.bar.current?.getBoundingClientRect();
    return box ? (clientX - box.left) / box.width : 0;
  };
  const momentUnder = (clientX: number): number => momentAt(now.current.window, placeOf(clientX));

  // The browser's own listeners may not keep it from scrolling the page; this one may.
  useEffect(() => {
    const bar = options.bar.current;
    const wheel = (event: WheelEvent): void => {
      const { window, latest, onWindow } = now.current;
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) onWindow(moved(window, event.deltaX / 1000, latest));
      else onWindow(zoomed(window, Math.exp(Math.max(-100, Math.min(100, event.deltaY)) / 300), momentUnder(event.clientX), latest));
    };
    bar?.addEventListener('wheel', wheel, { passive: false });
    return () => bar?.removeEventListener('wheel', wheel);
  }, []);

  /** What two fingers held stays under them, whether they spread, close or move together. */
  const pinch = (): void => {
    const [a, b] = [...held.current].map(([id, at]) => ({ at, place: placeOf(down.current.get(id) ?? 0) }));
    const next = a && b ? heldBy(a, b, now.current.latest) : null;
    if (next) now.current.onWindow(next);
  };

  const press = (event: PointerEvent): void => {
    if (event.button !== 0) return;
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    down.current.set(event.pointerId, event.clientX);
    if (down.current.size === 2) {
      held.current = new Map([...down.current].map(([id, x]) => [id, momentUnder(x)]));
      if (dragging.current) now.current.onSelect(marked.current); // it was no range that the first finger began
    }
    began.current = down.current.size === 1 ? { x: event.clientX, at: momentUnder(event.clientX) } : null;
    marked.current = now.current.selection;
    dragging.current = false;
  };
  const lift = (event: PointerEvent): boolean => {
    const alone = down.current.size === 1;
    down.current.delete(event.pointerId);
    if (event.pointerType !== 'mouse') now.current.onHover(null);
    return alone && began.current !== null;
  };
  const move = (event: PointerEvent): void => {
    if (down.current.has(event.pointerId)) down.current.set(event.pointerId, event.clientX);
    if (down.current.size >= 2) {
      pinch();
      now.current.onHover(null);
      return;
    }
    now.current.onHover(momentUnder(event.clientX));
    const from = began.current;
    if (!from) return;
    if (!dragging.current && Math.abs(event.clientX - from.x) < CLICK_PIXELS) return;
    dragging.current = true;
  };
  const cancel = (event: PointerEvent): void => {
    down.current.delete(event.pointerId);
    began.current = null;
    now.current.onHover(null);
  };
  const leave = (): void => { if (down.current.size === 0) now.current.onHover(null); };

  const track = {
    onPointerDown: press,
    onPointerMove: (event: PointerEvent) => {
      move(event);
      if (!dragging.current || !began.current) return;
      const at = momentUnder(event.clientX);
      const [from, to] = [Math.min(began.current.at, at), Math.max(began.current.at, at)];
      if (to - from >= LEAST_RANGE_MS) now.current.onSelect({ from, to });
    },
    onPointerUp: (event: PointerEvent) => { if (lift(event) && !dragging.current) now.current.onPick(momentUnder(event.clientX)); },
    onPointerCancel: cancel,
    onPointerLeave: leave,
  };
  const scale = {
    onPointerDown: (event: PointerEvent) => { press(event); now.current.onHover(momentUnder(event.clientX)); },
    onPointerMove: move,
    onPointerUp: (event: PointerEvent) => { if (lift(event)) now.current.onPick(momentUnder(event.clientX)); },
    onPointerCancel: cancel,
    onPointerLeave: leave,
  };
  const handle = (end: 'from' | 'to') => {
    const to = (at: number): void => {
      const { selection, onSelect } = now.current;
      if (!selection) return;
      const next = { ...selection, [end]: end === 'from' ? Math.min(at, selection.to - LEAST_RANGE_MS) : Math.max(at, selection.from + LEAST_RANGE_MS) };
      onSelect(next);
    };
    return {
      onPointerDown: press,
      onPointerMove: (event: PointerEvent) => { if (down.current.has(event.pointerId)) { now.current.onHover(momentUnder(event.clientX)); to(momentUnder(event.clientX)); } },
      onPointerUp: (event: PointerEvent) => { lift(event); now.current.onHover(null); },
      onPointerCancel: cancel,
      onKeyDown: (event: KeyboardEvent) => {
        const { selection, window } = now.current;
        const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
        if (by === 0 || !selection) return;
        event.preventDefault();
        event.stopPropagation();
        to(selection[end] + by * (event.shiftKey ? spanOf(window) / 20 : Math.max(100, spanOf(window) / 600)));
      },
    };
  };
  return { track, scale, handle };
};
