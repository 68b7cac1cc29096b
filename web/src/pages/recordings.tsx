import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../api.ts';
import type { Camera, Segment, StoredDetection } from '../api.ts';
import { linkTo } from '../router.ts';
import { Timeline } from '../ui/timeline.tsx';

const WINDOWS: readonly { readonly label: string; readonly minutes: number }[] = [
  { label: '5 min', minutes: 5 },
  { label: '15 min', minutes: 15 },
  { label: '1 h', minutes: 60 },
  { label: '6 h', minutes: 360 },
  { label: '24 h', minutes: 1440 },
];
const CLIP_MS = 10 * 60_000;
const clock = (ms: number): string => new Date(ms).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** A camera's recordings on a time line; a click plays from that moment. */
export const Recordings = (props: { id: string }) => {
  const [camera, setCamera] = useState<Camera | null>(null);
  const [minutes, setMinutes] = useState(15);
  const [end, setEnd] = useState(() => Date.now());
  const [following, setFollowing] = useState(true);
  const [segments, setSegments] = useState<readonly Segment[]>([]);
  const [detections, setDetections] = useState<readonly StoredDetection[]>([]);
  const [failure, setFailure] = useState<string | null>(null);
  const [playing, setPlaying] = useState<{ from: number; to: number } | null>(null);
  const [position, setPosition] = useState<number | null>(null);
  const video = useRef<HTMLVideoElement>(null);
  const start = end - minutes * 60_000;

  useEffect(() => { void api.camera(props.id).then(setCamera).catch(() => undefined); }, [props.id]);

  useEffect(() => {
    const load = (): void => {
      const until = following ? Date.now() : end;
      if (following) setEnd(until);
      const from = new Date(until - minutes * 60_000);
      void api.segments(props.id, from, new Date(until)).then((list) => { setSegments(list); setFailure(null); }).catch((error: unknown) => setFailure(error instanceof Error ? error.message : String(error)));
      if (minutes <= 15) void api.detections(props.id, from, new Date(until)).then(setDetections).catch(() => setDetections([]));
      else setDetections([]);
    };
    load();
    const timer = setInterval(load, 5000);
    return () => clearInterval(timer);
  }, [props.id, minutes, following, following ? 0 : end]);

  const play = (at: number): void => {
    const last = segments.at(-1);
    const recordedTo = last ? Date.parse(last.start) + last.duration * 1000 : at;
    const to = Math.min(at + CLIP_MS, recordedTo);
    if (to - at < 100) return;
    setPlaying({ from: at, to });
    setPosition(at);
  };

  useEffect(() => {
    if (!playing || !video.current) return;
    video.current.src = api.playbackUrl(props.id, new Date(playing.from), new Date(playing.to));
    void video.current.play().catch(() => undefined);
  }, [playing]);

  const page = (by: number): void => {
    setFollowing(false);
    setEnd(Math.min(Date.now(), end + by * minutes * 30_000));
  };
  const recorded = segments.reduce((sum, segment) => sum + segment.duration, 0);
  const megabytes = segments.reduce((sum, segment) => sum + segment.bytes, 0) / 1e6;
  return (
    <section class="recordings-page">
      <div class="title">
        <h1>{camera?.name ?? props.id}</h1>
        <nav class="tabs" aria-label="Camera"><a {...linkTo(`/cameras/${props.id}`)}>Live</a><a aria-current="page" {...linkTo(`/cameras/${props.id}/recordings`)}>Recordings</a></nav>
      </div>
      {failure && <p class="failure" role="alert">{failure}</p>}
      <div class="stage">
        <div class="picture playing">
          <video ref={video} controls={playing !== null} playsInline onTimeUpdate={() => { if (playing && video.current) setPosition(playing.from + video.current.currentTime * 1000); }}
            onError={() => { if (playing) setFailure('This range could not be played.'); }} />
          {!playing && <div class="veil"><strong>{segments.length ? 'Choose a moment on the time line' : 'Nothing recorded in this window'}</strong></div>}
        </div>
      </div>
      <div class="controls">
        <fieldset class="segmented"><legend class="sr">Window</legend>
          {WINDOWS.map((each) => <label key={each.minutes}><input type="radio" name="window" checked={minutes === each.minutes} onChange={() => setMinutes(each.minutes)} /><span>{each.label}</span></label>)}
        </fieldset>
        <button type="button" onClick={() => page(-1)} aria-label="Earlier">◀</button>
        <button type="button" onClick={() => page(1)} disabled={following} aria-label="Later">▶</button>
        <button type="button" onClick={() => { setFollowing(true); setEnd(Date.now()); }} disabled={following}>Now</button>
        {playing && <a class="button" href={api.playbackUrl(props.id, new Date(playing.from), new Date(playing.to))} download={`${props.id}-${new Date(playing.from).toISOString()}.mp4`}>Download this range</a>}
      </div>
      <Timeline start={start} end={end} segments={segments} detections={detections} position={position} onPick={play} />
      <p class="muted">{clock(start)} – {clock(end)} · {Math.round(recorded)} s recorded, {megabytes.toFixed(1)} MB{position !== null && <> · playing {clock(position)}</>}</p>
    </section>
  );
};
