import { useEffect, useRef, useState } from 'preact/hooks';
import type { Camera } from '../api.ts';
import { LivePlayer } from '../live/live-player.ts';
import type { LiveReadout, LiveState, Mode } from '../live/live-player.ts';
import { SceneOverlay } from './scene-overlay.tsx';

const EMPTY: LiveState = { status: 'connecting', transport: null, note: null };

/** One camera's live picture with its boxes. `onReadout` is called once a second while it plays. */
export const LiveView = (props: {
  camera: Camera;
  mode: Mode;
  muted: boolean;
  onState?: (state: LiveState) => void;
  onReadout?: (readout: LiveReadout) => void;
}) => {
  const video = useRef<HTMLVideoElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const player = useRef<LivePlayer | null>(null);
  const [state, setState] = useState(EMPTY);
  const readout = useRef(props.onReadout);
  readout.current = props.onReadout;

  useEffect(() => {
    if (!video.current || !canvas.current) return;
    const live = new LivePlayer({
      camera: props.camera, video: video.current, canvas: canvas.current, mode: props.mode,
      onState: (next) => { setState(next); props.onState?.(next); },
    });
    player.current = live;
    live.start();
    const timer = setInterval(() => void live.readout().then((values) => readout.current?.(values)), 1000);
    return () => {
      clearInterval(timer);
      live.dispose();
      player.current = null;
    };
  }, [props.camera.id]);

  useEffect(() => { if (props.camera.distribution.state === 'on') player.current?.shownAgain(); }, [props.camera.distribution.state]);
  useEffect(() => { if (player.current) player.current.mode = props.mode; }, [props.mode]);

  return (
    <div class={`picture ${state.status}`} data-camera={props.camera.id} data-status={state.status} data-transport={state.transport ?? ''}>
      <video ref={video} muted={props.muted} autoplay playsInline disableRemotePlayback />
      <SceneOverlay camera={props.camera} video={video} />
      <canvas ref={canvas} aria-hidden="true" />
      {state.status !== 'playing' && (
        <div class="veil" role="status">
          <span class={STILL.has(state.status) ? 'dot idle' : 'spinner'} aria-hidden="true" />
          <strong>{WORDS[state.status]}</strong>
          {state.note && <small>{state.note}</small>}
        </div>
      )}
    </div>
  );
};

const WORDS: Record<LiveState['status'], string> = {
  connecting: 'Connecting…',
  playing: '',
  'no-publisher': 'No camera is publishing',
  reconnecting: 'Reconnecting…',
  'switched-off': 'Live view is switched off',
};

/** Nothing is under way. */
const STILL: ReadonlySet<LiveState['status']> = new Set(['no-publisher', 'switched-off']);
