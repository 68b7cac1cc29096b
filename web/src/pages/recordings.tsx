import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, inWords } from '../api-error.ts';
import { api } from '../api.ts';
import type { Camera, Gap, Segment, StoredDetection } from '../api.ts';
import { CameraTitle } from '../ui/camera-title.tsx';
import { Gaps } from '../ui/gaps.tsx';
import { NotRecorded } from '../ui/not-recorded.tsx';
import { Timeline } from '../ui/timeline.tsx';
import { usePolling } from '../ui/use-polling.ts';

const WINDOWS: readonly { readonly label: string; readonly minutes: number }[] = [
  { label: '5 min', minutes: 5 },
  { label: '15 min', minutes: 15 },
  { label: '1 h', minutes: 60 },
  { label: '6 h', minutes: 360 },
  { label: '24 h', minutes: 1440 },
];
const REFRESH_MS = 4000;
const CLIP_MS = 10 * 60_000;
const LATEST_MS = 30_000;
/** Detections are asked for in windows this short: longer ones hold too many. */
const DETECTIONS_MINUTES = 15;

const clock = (ms: number): string => new Date(ms).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
/** With its day unless that is today. */
const moment = (ms: number): string => (new Date(ms).toDateString() === new Date().toDateString() ? clock(ms) : `${new Date(ms).toLocaleDateString()} ${clock(ms)}`);
const amount = (seconds: number): string => {
  if (seconds < 60) return `${seconds.toFixed(0)} s`;
  return seconds < 3600 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`;
};
const startOf = (segment: Segment): number => Date.parse(segment.start);
const endOf = (segment: Segment): number => startOf(segment) + segment.duration * 1000;

/** The first recorded moment at or after `at`; where nothing follows, shortly before the end. Null when nothing is recorded. */
const recordedFrom = (segments: readonly Segment[], at: number): number | null => {
  const next = segments.find((segment) => endOf(segment) > at + 200);
  if (next) return Math.max(at, startOf(next));
  const last = segments.at(-1);
  return last ? Math.max(startOf(last), endOf(last) - LATEST_MS / 3) : null;
};

/** A camera's recordings on a time line; a click plays from that moment. */
export const Recordings = (props: { id: string }) => {
  const [camera, setCamera] = useState<Camera | null>(null);
  const [minutes, setMinutes] = useState(15);
  const [end, setEnd] = useState(() => Date.now());
  const [following, setFollowing] = useState(true);
  const [segments, setSegments] = useState<readonly Segment[] | null>(null);
  const [gaps, setGaps] = useState<readonly Gap[]>([]);
  const [detections, setDetections] = useState<readonly StoredDetection[]>([]);
  const [failure, setFailure] = useState<string | null>(null);
  const [playFailure, setPlayFailure] = useState<string | null>(null);
  const [playing, setPlaying] = useState<{ from: number; to: number } | null>(null);
  const [position, setPosition] = useState<number | null>(null);
  const video = useRef<HTMLVideoElement>(null);
  const start = end - minutes * 60_000;
  const list = segments ?? [];
  const last = list.at(-1);

  const load = async (): Promise<void> => {
    const until = following ? Date.now() : end;
    const [from, to] = [new Date(until - minutes * 60_000), new Date(until)];
    try {
      // Recordings outlive their camera: without one they are shown under its id.
      const [of, found, missing, seen] = await Promise.all([
        api.camera(props.id).catch((error: unknown) => { if (error instanceof ApiError && error.status === 404) return null; throw error; }),
        api.segments(props.id, from, to),
        api.gaps(props.id, from, to),
        minutes <= DETECTIONS_MINUTES ? api.detections(props.id, from, to) : [],
      ]);
      setCamera(of);
      setSegments(found);
      setGaps(missing);
      setDetections(seen);
      setFailure(null);
      if (following) setEnd(until);
    } catch (error) {
      setFailure(inWords(error));
    }
  };
  usePolling(load, REFRESH_MS, [props.id, minutes, following, following ? 0 : end]);

  const play = (wanted: number): void => {
    const from = recordedFrom(list, wanted);
    if (from === null || !last) return;
    const to = Math.min(from + CLIP_MS, endOf(last));
    if (to - from < 100) return;
    setPlayFailure(null);
    setPlaying({ from, to });
    setPosition(from);
  };
  /** A range that was played to its end goes on with what was recorded meanwhile. */
  const playOn = (): void => {
    if (playing && last && endOf(last) - playing.to > 1000) play(playing.to);
  };

  useEffect(() => {
    if (!playing || !video.current) return;
    video.current.src = api.playbackUrl(props.id, new Date(playing.from), new Date(playing.to));
    void video.current.play().catch(() => undefined); // a browser that wants a tap first shows its own button
  }, [playing]);

  const page = (by: number): void => {
    setFollowing(false);
    setEnd(Math.min(Date.now(), end + by * minutes * 30_000));
  };
  const recorded = list.reduce((sum, segment) => sum + segment.duration, 0);
  const megabytes = list.reduce((sum, segment) => sum + segment.bytes, 0) / 1e6;
  return (
    <section class="recordings-page">
      <CameraTitle camera={camera ?? { id: props.id, name: props.id }} tab="recordings" />
      {failure && <p class="failure" role="alert">{failure}</p>}
      {camera && <NotRecorded camera={camera} />}
      <div class="stage">
        <div class={playing ? 'picture playing' : 'picture'}>
          <video ref={video} controls={playing !== null} playsInline onTimeUpdate={() => { if (playing && video.current) setPosition(playing.from + video.current.currentTime * 1000); }}
            onEnded={playOn} onError={() => { if (playing) setPlayFailure('This range could not be played. It may have been deleted meanwhile.'); }} />
          {!playing && (
            <div class="veil">
              {segments === null ? <strong>Loading…</strong> : !last ? <strong>Nothing recorded in this window</strong> : (
                <>
                  <strong>Choose a moment on the time line</strong>
                  <button type="button" onClick={() => play(endOf(last) - LATEST_MS)}>Play the last half minute</button>
                </>
              )}
            </div>
          )}
        </div>
      </div>
      {playFailure && <p class="failure" role="alert">{playFailure}</p>}
      <div class="controls">
        <fieldset class="segmented"><legend class="sr">Window</legend>
          {WINDOWS.map((each) => <label key={each.minutes}><input type="radio" name="window" checked={minutes === each.minutes} onChange={() => setMinutes(each.minutes)} /><span>{each.label}</span></label>)}
        </fieldset>
        <div class="group">
          <button type="button" onClick={() => page(-1)} aria-label="Earlier">‹ Earlier</button>
          <button type="button" onClick={() => page(1)} disabled={following} aria-label="Later">Later ›</button>
          <button type="button" onClick={() => { setFollowing(true); setEnd(Date.now()); }} disabled={following}>Now</button>
        </div>
        {playing && <a class="button" href={api.playbackUrl(props.id, new Date(playing.from), new Date(playing.to))} download={`${props.id}-${new Date(playing.from).toISOString().replaceAll(':', '-')}.mp4`}>Download</a>}
      </div>
      <Timeline start={start} end={end} segments={list} detections={minutes <= DETECTIONS_MINUTES ? detections : null} position={position} onPick={play} />
      <p class="muted summary">
        <span>{moment(start)} – {moment(end)}</span>
        {list.length > 0 && <span>{amount(recorded)} recorded, {megabytes.toFixed(megabytes < 10 ? 1 : 0)} MB</span>}
        {position !== null && <strong>Playing {moment(position)}</strong>}
      </p>
      <Gaps gaps={gaps} moment={moment} amount={amount} />
    </section>
  );
};
