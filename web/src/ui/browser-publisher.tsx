import { useEffect, useRef, useState } from 'preact/hooks';
import { accessToken, mediaUrls } from '../api.ts';
import type { Camera } from '../api.ts';
import { postOffer } from '../live/whep.ts';

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
    await pc.setLocalDescription();
    const { answer, resource } = await postOffer(mediaUrls(camera).whip, accessToken() ?? '', pc.localDescription?.sdp ?? '');
    await pc.setRemoteDescription({ type: 'answer', sdp: answer });
    return { pc, media, resource };
  } catch (error) {
    pc.close();
    throw error;
  }
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
      // Without HTTPS (and not on localhost) browsers offer no capture at all: `mediaDevices` is undefined there.
      if (!('mediaDevices' in navigator)) throw new Error('This browser gives cameras to pages served by HTTPS or from localhost only.');
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
      setFailure(error instanceof Error ? error.message : String(error));
    }
  };

  useEffect(() => { if (preview.current && running) preview.current.srcObject = running.media; }, [running]);
  useEffect(() => stop, []);

  if (!running && !failure && !props.offered) return null;
  return (
    <div class="card">
      <h2>Publish from this browser</h2>
      {running ? (
        <>
          <video class="preview" ref={preview} autoplay muted playsInline />
          <button type="button" onClick={stop}>Stop publishing</button>
        </>
      ) : (
        <div class="controls">
          <button type="button" class="primary" onClick={() => void start('camera')}>This device’s camera</button>
          <button type="button" onClick={() => void start('screen')}>This screen</button>
        </div>
      )}
      {failure && <p class="failure" role="alert">{failure}</p>}
    </div>
  );
};
