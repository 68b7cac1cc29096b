import { useRef, useState } from 'preact/hooks';
import { ApiError, inWords } from '../api-error.ts';
import { api } from '../api.ts';
import type { Camera } from '../api.ts';
import type { LiveReadout, LiveState, Mode } from '../live/live-player.ts';
import { Alarms } from '../ui/alarms.tsx';
import { BrowserPublisher } from '../ui/browser-publisher.tsx';
import { CameraTitle } from '../ui/camera-title.tsx';
import { CodesState } from '../ui/codes-state.tsx';
import { DetectionRate } from '../ui/detection-rate.tsx';
import { Detectors } from '../ui/detectors.tsx';
import { DistributionState } from '../ui/distribution-state.tsx';
import { LastCode } from '../ui/last-code.tsx';
import { LiveView } from '../ui/live-view.tsx';
import { Missing } from '../ui/missing.tsx';
import { NotRecorded } from '../ui/not-recorded.tsx';
import { Readout } from '../ui/readout.tsx';
import { RecordingState } from '../ui/recording-state.tsx';
import { RuleEvents } from '../ui/rule-events.tsx';
import { ShownHeight } from '../ui/shown-height.tsx';
import { usePolling } from '../ui/use-polling.ts';
import { useRecentlyOn } from '../ui/use-recently-on.ts';
import { Publish } from './publish.tsx';

const MODE = 'imageflow.mode';
const REFRESH_MS = 1500;
/** In mode *exact* the video waits for its boxes, but not so long. */
const BOXES_TOO_LATE_MS = 350;

export const CameraPage = (props: { id: string }) => {
  const [camera, setCamera] = useState<Camera | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [missing, setMissing] = useState(false);
  const [mode, setMode] = useState<Mode>(localStorage.getItem(MODE) === 'lowest-latency' ? 'lowest-latency' : 'exact');
  const [muted, setMuted] = useState(true);
  const [state, setState] = useState<LiveState | null>(null);
  const [readout, setReadout] = useState<LiveReadout | null>(null);
  const [showPublish, setShowPublish] = useState(false);
  const stage = useRef<HTMLDivElement>(null);
  const recentlyOn = useRecentlyOn();

  const load = (): Promise<void> => api.camera(props.id).then((c) => { setCamera(c); setFailure(null); setMissing(false); }).catch((error: unknown) => {
    setMissing(error instanceof ApiError && error.status === 404);
    setFailure(inWords(error));
  });
  usePolling(load, REFRESH_MS, [props.id]);

  if (missing) return <Missing what={failure ?? ''} />;
  if (!camera) return <p class="empty" role="status">{failure ?? 'Loading…'}</p>;
  const on = recentlyOn(camera);
  const shown = camera.distribution.state === 'on';
  return (
    <section class="camera-page">
      <CameraTitle camera={camera} tab="live" />
      {failure && <p class="failure" role="alert">{failure}</p>}
      <Alarms camera={camera.id} />
      {on && (
        <>
          <div class="stage" ref={stage}><LiveView camera={camera} mode={mode} muted={muted} onState={setState} onReadout={setReadout} /></div>
          <div class="controls">
            {shown && <fieldset class="segmented" title="Exact: the video waits for its boxes. Lowest latency: the newest boxes, dimmed, over the newest picture.">
              <legend class="sr">Boxes</legend>
              {(['exact', 'lowest-latency'] as const).map((each) => (
                <label key={each}><input type="radio" name="mode" value={each} checked={mode === each} onChange={() => { setMode(each); localStorage.setItem(MODE, each); }} /><span>{each === 'exact' ? 'Exact boxes' : 'Lowest latency'}</span></label>
              ))}
            </fieldset>}
            {shown && camera.stats?.audio_codec && <button type="button" aria-pressed={!muted} onClick={() => setMuted(!muted)}>{muted ? 'Sound on' : 'Sound off'}</button>}
            {shown && document.fullscreenEnabled && <button type="button" onClick={() => void stage.current?.requestFullscreen()}>Full screen</button>}
            <button type="button" class="quiet" onClick={() => setShowPublish(!showPublish)} aria-expanded={showPublish}>How to publish</button>
          </div>
          {shown && <Readout values={readout} transport={state?.transport ?? null} />}
          <LastCode camera={camera} />
          <NotRecorded camera={camera} />
          <DetectionRate camera={camera} />
          <ShownHeight camera={camera} />
          {state?.status === 'playing' && state.transport === 'hls' && <p class="note" data-note="hls"><strong>Shown by LL-HLS, a second or more behind.</strong> {state.note}</p>}
          {mode === 'exact' && (readout?.boxesMs ?? 0) > BOXES_TOO_LATE_MS && state?.transport === 'webrtc' && (
            <p class="note">The detector is behind: boxes come {(readout?.boxesMs ?? 0).toFixed(0)} ms after their picture, longer than the video waits. “Lowest latency” shows the newest ones there are.</p>
          )}
          {camera.session?.reason && <p class="muted">{camera.session.reason}</p>}
        </>
      )}
      <RuleEvents camera={camera} />
      <DistributionState camera={camera} onSwitched={load} />
      <RecordingState camera={camera} onSwitched={load} />
      <CodesState camera={camera} onSwitched={load} />
      <Detectors camera={camera} />
      <BrowserPublisher key="publisher" camera={camera} offered={!on || showPublish} />
      {(!on || showPublish) && <Publish camera={camera} idle={!on} />}
    </section>
  );
};
