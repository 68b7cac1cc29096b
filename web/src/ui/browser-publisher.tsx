import { useEffect, useRef, useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { mediaUrls } from '../api.ts';
import type { Camera } from '../api.ts';
import { hostCandidates } from '../live/host-candidates.ts';
import { postOffer } from '../live/whep.ts';
import { accessToken, may } from '../session.ts';

interface Publishing {
  readonly pc: RTCPeerConnection;
  readonly media: MediaStream;
  readonly resource: string | null;
}

const preferH264 = (transceiver: RTCRtpTransceiver): void => {
  const codecs = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
  const h264 = codecs.filter((codec) => codec.mimeType.toLowerCase() === 'video/h264');
  if (h264.length > 0) transceiver.setCodecPreferences([...h264, ...codecs.filter((codec) => !h264.includes(codec))]);
};

const publish = async (camera: Camera, media: MediaStream): Promise<Publishing> => {
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  try {
    for (const track of media.getTracks()) {
      const transceiver = pc.addTransceiver(track, { direction: 'sendonly', streams: [media], ...(track.kind === 'video' ? { sendEncodings: [{ maxBitrate: 4_000_000 }] } : {}) });
      if (track.kind === 'video') preferH264(transceiver);
    }
    await hostCandidates(pc, () => pc.setLocalDescription());
    const { answer, resource } = await postOffer(mediaUrls(camera).whip, accessToken() ?? '', pc.localDescription?.sdp ?? '');
    await pc.setRemoteDescription({ type: 'answer', sdp: answer });
    return { pc, media, resource };
  } catch (error) {
    pc.close();
    throw error;
  }
};

// Without HTTPS (and not on localhost) browsers offer no capture at all, and phones never a screen; the DOM's types know neither.
const canCapture = 'mediaDevices' in navigator;
const canShareScreen = canCapture && 'getDisplayMedia' in navigator.mediaDevices;

/** What the browser means when it gives no picture. */
const refused = (error: unknown): string | null => {
  if (!(error instanceof DOMException)) return null;
  if (error.name === 'NotAllowedError') return 'This browser was not allowed to use it. Allow it in the address bar and try again.';
  if (error.name === 'NotFoundError') return 'This device has no camera.';
  if (error.name === 'NotReadableError') return 'Another program uses the camera.';
  return null;
};

/** Publishes this browser's camera or screen by WHIP. Stays mounted while it publishes; `offered` shows the buttons. */
export const BrowserPublisher = (props: { camera: Camera; offered: boolean }) => {
  const [failure, setFailure] = useState<string | null>(null);
  const [running, setRunning] = useState<Publishing | null>(null);
  const current = useRef<Publishing | null>(null);
  const preview = useRef<HTMLVideoElement>(null);

  const stop = (): void => {
    const it = current.current;
    current.current = null;
    setRunning(null);
    if (!it) return;
    it.pc.close();
    for (const track of it.media.getTracks()) track.stop();
    if (it.resource) void fetch(it.resource, { method: 'DELETE', headers: { authorization: `Bearer ${accessToken() ?? ''}` }, keepalive: true }).catch(() => undefined);
  };

  const start = async (kind: 'camera' | 'screen'): Promise<void> => {
    setFailure(null);
    try {
      const media = kind === 'camera'
        ? await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 }, facingMode: 'environment' }, audio: true })
            .catch(() => navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, height: { ideal: 720 } } }))
        : await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: 30 } });
      const it = await publish(props.camera, media);
      current.current = it;
      it.pc.onconnectionstatechange = () => { if (it.pc.connectionState === 'failed') { stop(); setFailure('The connection to the server was lost.'); } };
      media.getVideoTracks()[0]?.addEventListener('ended', stop);
      setRunning(it);
    } catch (error) {
      setFailure(refused(error) ?? inWords(error));
    }
  };

  useEffect(() => { if (preview.current && running) preview.current.srcObject = running.media; }, [running]);
  useEffect(() => stop, []);

  if (!running && !failure && !(props.offered && may('stream:publish'))) return null;
  return (
    <div class="card">
      <h2>Publish from this browser</h2>
      {props.offered && !running && canCapture && <p class="muted">Nothing to set up: this phone or computer is the camera while this page is open.</p>}
      {running ? (
        <>
          <video class="preview" ref={preview} autoplay muted playsInline />
          <button type="button" onClick={stop}>Stop publishing</button>
        </>
      ) : !canCapture ? (
        <p class="muted">Browsers give cameras only to pages served by HTTPS or from localhost. Open this page by HTTPS, or publish to one of the addresses below.</p>
      ) : (
        <div class="controls">
          <button type="button" class="primary" onClick={() => void start('camera')}>This device’s camera</button>
          {canShareScreen && <button type="button" onClick={() => void start('screen')}>This screen</button>}
        </div>
      )}
      {failure && <p class="failure" role="alert">{failure}</p>}
    </div>
  );
};
