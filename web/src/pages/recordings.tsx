import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Mark } from '../recordings/api.ts';
import { linkOf, pathTo } from '../recordings/link.ts';
import { amount, between, moment } from '../recordings/moments.ts';
import { CLIP_MS } from '../recordings/range-player.ts';
import { midnight } from '../recordings/midnight.ts';
import { classesOf, partsOf } from '../recordings/seen.ts';
import { recordedFrom, recordedSeconds, recordedUntil, withoutLead } from '../recordings/stretches.ts';
import { around, moved, spanOf, zoomed } from '../recordings/time-window.ts';
import type { TimeWindow } from '../recordings/time-window.ts';
import { usePlayerKeys } from '../recordings/use-player-keys.ts';
import { useRangePlayer } from '../recordings/use-range-player.ts';
import { useWindow } from '../recordings/use-window.ts';
import { replaceAddress } from '../router.ts';
import { CameraTitle } from '../ui/camera-title.tsx';
import { ExportList } from '../ui/export-list.tsx';
import { Gaps } from '../ui/gaps.tsx';
import { MarkList } from '../ui/mark-list.tsx';
import { NotRecorded } from '../ui/not-recorded.tsx';
import { PlayerControls } from '../ui/player-controls.tsx';
import { RangeActions } from '../ui/range-actions.tsx';
import { Timeline } from '../ui/timeline.tsx';
import type { Selection } from '../ui/timeline.tsx';
import { WindowControls } from '../ui/window-controls.tsx';

const LATEST_MS = 30_000;
const FIRST_WINDOW_MS = 15 * 60_000;
const LEAST_RANGE_MS = 200;

const firstWindow = (link: ReturnType<typeof linkOf>): TimeWindow => {
  if (link === null) return { start: Date.now() - FIRST_WINDOW_MS, end: Date.now() };
  return 'at' in link ? { start: link.at - FIRST_WINDOW_MS / 2, end: link.at + FIRST_WINDOW_MS / 2 } : around(link.from, link.to);
};

/** A camera's recordings on a time line: play a moment, mark a range, and say what it is. */
export const Recordings = (props: { id: string }) => {
  const link = useMemo(() => linkOf(location.search), []);
  const [shown, setShown] = useState<TimeWindow>(() => firstWindow(link));
  const [following, setFollowing] = useState(link === null);
  const [selection, setSelection] = useState<Selection | null>(link !== null && 'from' in link ? link : null);
  const [shownMark, setShownMark] = useState<string | null>(null);
  const content = useWindow(props.id, shown, following, (now) => setShown({ start: now - spanOf(shown), end: now }));
  const [className, setClassName] = useState<string | null>(null);
  const seen = useMemo(() => (content.seen === null ? [] : partsOf(content.seen, className)), [content.seen, className]);
  const list = content.stretches ?? [];
  const last = list.at(-1);
  const stage = useRef<HTMLDivElement>(null);
  const latest = midnight(Date.now(), 1); // a day is shown whole, its future too

  const after = (at: number): Selection | null => {
    const from = recordedFrom(list, at);
    return from === null || !last || last.end - at <= 1000 ? null : { from, to: Math.min(from + CLIP_MS, last.end) };
  };
  const before = (at: number): Selection | null => {
    const to = recordedUntil(list, at);
    return to === null ? null : { from: Math.max(to - 60_000, list[0]?.start ?? to), to };
  };
  const { video, player, state } = useRangePlayer(props.id, after, before);

  const play = (wanted: number): void => {
    const from = recordedFrom(list, wanted);
    if (from === null || !last || player?.seek(from)) return;
    const to = Math.min(from + CLIP_MS, last.end);
    if (to - from >= 100) player?.open({ from, to });
  };
  const window = (next: TimeWindow): void => {
    setFollowing(false);
    setShown(next);
  };
  const select = (next: Selection | null): void => {
    setSelection(next && { from: Math.round(next.from), to: Math.round(next.to) });
    if (next) setFollowing(false); // a range under a hand stands still
  };
  const showMark = (mark: Mark): void => {
    const range = { from: Date.parse(mark.from), to: Date.parse(mark.to) };
    select(range);
    setShownMark(mark.id);
    if (range.from < shown.start || range.to > shown.end) window(around(range.from, range.to));
    player?.open(withoutLead(list, range), { exact: true });
    stage.current?.scrollIntoView({ block: 'nearest' });
  };
  const end = (which: 'from' | 'to'): void => {
    const at = state.position;
    if (at === null) return;
    const other = selection?.[which === 'from' ? 'to' : 'from'];
    if (which === 'from') select({ from: at, to: other !== undefined && other - at >= LEAST_RANGE_MS ? other : at + 10_000 });
    else select({ from: other !== undefined && at - other >= LEAST_RANGE_MS ? other : at - 10_000, to: at });
  };
  const clear = (): void => { setSelection(null); setShownMark(null); };

  // What is marked stands in the address: it can be shared, and a reload shows it again.
  useLayoutEffect(() => replaceAddress(pathTo(props.id, selection)), [selection]);
  const opened = useRef(false);
  useEffect(() => {
    if (opened.current || !player || link === null || content.stretches === null) return;
    opened.current = true;
    if ('at' in link) play(link.at);
    else if (list.length > 0) player.open(withoutLead(list, link), { exact: true });
  }, [player, content.stretches]);
  usePlayerKeys({ player, state, onIn: () => end('from'), onOut: () => end('to'), onClear: clear });

  const [asked, setAsked] = useState(0);
  const [muted, setMuted] = useState(true);
  const { range, position, failure } = state;
  return (
    <section class="recordings-page">
      <CameraTitle camera={content.camera ?? { id: props.id, name: props.id }} tab="recordings" />
      {content.failure && <p class="failure" role="alert">{content.failure}</p>}
      {content.camera && <NotRecorded camera={content.camera} />}
      <div class="stage" ref={stage}>
        <div class={range ? 'picture playing' : 'picture'} onClick={() => player?.toggle()}>
          <video ref={video} playsInline muted={muted} disableRemotePlayback />
          {!range && (
            <div class="veil">
              {content.stretches === null ? <strong>Loading…</strong> : !last ? <strong>Nothing recorded in this window</strong> : (
                <>
                  <strong>Choose a moment on the time line</strong>
                  <button type="button" onClick={(event) => { event.stopPropagation(); play(last.end - LATEST_MS); }}>Play the last half minute</button>
                </>
              )}
            </div>
          )}
        </div>
      </div>
      {failure !== null && <p class="failure" role="alert">{failure}</p>}
      <PlayerControls player={player} state={state} muted={muted} onMute={() => setMuted(!muted)} onFull={document.fullscreenEnabled ? () => void stage.current?.requestFullscreen() : null}
        onIn={() => end('from')} onOut={() => end('to')} />
      <Timeline camera={props.id} window={shown} latest={latest} stretches={list} gaps={content.gaps} marks={content.marks} seen={seen} notShown={content.notShown} position={position} selection={selection}
        onPick={play} onSelect={(next) => { setShownMark(null); select(next); }} onWindow={window} onMark={showMark}>
        <p class="muted summary">
          <span>{between(shown.start, shown.end)}</span>
          {list.length > 0 && <span>{amount(recordedSeconds(list, shown))} recorded, {megabytes(list.reduce((sum, each) => sum + each.bytes, 0))} MB</span>}
          {position !== null && <strong>{state.playing ? 'Playing' : 'At'} {moment(position)}</strong>}
        </p>
      </Timeline>
      {selection
        ? <RangeActions camera={props.id} selection={selection} onPlay={() => player?.open(withoutLead(list, selection), { exact: true })} onClear={clear} onExport={() => setAsked(asked + 1)} onMarked={(mark) => { setShownMark(mark.id); void content.reload(); }} />
        : list.length > 0 && <p class="muted hint">Drag on the time line to mark a range, or play it and choose where it begins and ends: then pin it, link it to a work order, keep it as a clip, export or share it.</p>}
      <WindowControls window={shown} following={following} classes={classesOf(content.seen)} className={className} onClass={setClassName} onSpan={(span) => (following ? setShown({ start: Date.now() - span, end: Date.now() }) : window(zoomed(shown, span / spanOf(shown), position ?? (shown.start + shown.end) / 2, latest)))}
        onDay={(day) => window({ start: day, end: midnight(day, 1) })} onMove={(by) => window(moved(shown, by, latest))} onZoom={(by) => window(zoomed(shown, by, position ?? (shown.start + shown.end) / 2, latest))}
        onNow={() => { setFollowing(true); setShown({ start: Date.now() - spanOf(shown), end: Date.now() }); }} />
      <MarkList marks={content.marks} shown={shownMark} onShow={showMark} onChanged={() => void content.reload()} />
      <ExportList camera={props.id} asked={asked} />
      <Gaps gaps={content.gaps} moment={moment} amount={amount} />
      <p class="muted keys small"><kbd>Space</kbd> play · <kbd>,</kbd> <kbd>.</kbd> frame · <kbd>J</kbd> <kbd>K</kbd> <kbd>L</kbd> back, pause, forward · <kbd>I</kbd> <kbd>O</kbd> begin and end of a range · <kbd>Esc</kbd> clear · on the time line <kbd>←</kbd> <kbd>→</kbd> <kbd>+</kbd> <kbd>−</kbd></p>
    </section>
  );
};

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(bytes < 10e6 ? 1 : 0);
