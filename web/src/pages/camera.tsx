import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../api.ts';
import type { Camera } from '../api.ts';
import type { LiveReadout, LiveState, Mode } from '../live/live-player.ts';
import { linkTo } from '../router.ts';
import { BrowserPublisher } from '../ui/browser-publisher.tsx';
import { LiveView } from '../ui/live-view.tsx';
import { Readout } from '../ui/readout.tsx';
import { SessionBadge } from '../ui/session-badge.tsx';
import { Publish } from './publish.tsx';

const MODE = 'imageflow.mode';

export const CameraPage = (props: { id: string }) => {
  const [camera, setCamera] = useState<Camera | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [mode, setMode] = useState<Mode>(localStorage.getItem(MODE) === 'lowest-latency' ? 'lowest-latency' : 'exact');
  const [muted, setMuted] = useState(true);
  const [state, setState] = useState<LiveState | null>(null);
  const [readout, setReadout] = useState<LiveReadout | null>(null);
  const [showPublish, setShowPublish] = useState(false);
  const stage = useRef<HTMLDivElement>(null);

  useEffect(() => {
    const load = (): void => { void api.camera(props.id).then((c) => { setCamera(c); setFailure(null); }).catch((error: unknown) => setFailure(error instanceof Error ? error.message : String(error))); };
    load();
    const timer = setInterval(load, 3000);
    return () => clearInterval(timer);
  }, [props.id]);

  if (!camera) return <p class="empty" role="status">{failure ?? 'Loading…'}</p>;
  const phase = camera.session?.phase;
  const on = phase === 'live' || phase === 'interrupted' || phase === 'connecting';
  return (
    <section class="camera-page">
      <div class="title">
        <h1>{camera.name}</h1>
        <SessionBadge session={camera.session ?? null} />
        <nav class="tabs" aria-label="Camera"><a aria-current="page" {...linkTo(`/cameras/${camera.id}`)}>Live</a><a {...linkTo(`/cameras/${camera.id}/recordings`)}>Recordings</a></nav>
      </div>
      {failure && <p class="failure" role="alert">{failure}</p>}
      {on ? (
        <>
          <div class="stage" ref={stage}><LiveView camera={camera} mode={mode} muted={muted} onState={setState} onReadout={setReadout} /></div>
          <div class="controls">
            <fieldset class="segmented" title="Exact: the video waits for its boxes. Lowest latency: the newest boxes, dimmed, over the newest picture.">
              <legend class="sr">Boxes</legend>
              {(['exact', 'lowest-latency'] as const).map((each) => (
                <label key={each}><input type="radio" name="mode" checked={mode === each} onChange={() => { setMode(each); localStorage.setItem(MODE, each); }} /><span>{each === 'exact' ? 'Exact boxes' : 'Lowest latency'}</span></label>
              ))}
            </fieldset>
            <button type="button" onClick={() => setMuted(!muted)}>{muted ? 'Sound on' : 'Sound off'}</button>
            <button type="button" onClick={() => void stage.current?.requestFullscreen()}>Full screen</button>
            <button type="button" class="quiet" onClick={() => setShowPublish(!showPublish)} aria-expanded={showPublish}>How to publish</button>
          </div>
          <Readout values={readout} transport={state?.transport ?? null} />
          {camera.session?.reason && <p class="muted">{camera.session.reason}</p>}
        </>
      ) : null}
      {(!on || showPublish) && <Publish camera={camera} idle={!on} />}
      <BrowserPublisher key="publisher" camera={camera} offered={!on || showPublish} />
    </section>
  );
};
