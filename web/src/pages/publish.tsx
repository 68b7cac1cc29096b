import { useEffect, useState } from 'preact/hooks';
import QRCode from 'qrcode';
import { api } from '../api.ts';
import type { Camera } from '../api.ts';

const storedKey = (camera: string): string | null => sessionStorage.getItem(`publish-key:${camera}`);

/** How to publish to an idle camera: URLs, a key, its QR code, and ready-made command lines. */
export const Publish = (props: { camera: Camera; idle: boolean }) => {
  const { camera } = props;
  const [key, setKey] = useState<string | null>(storedKey(camera.id));
  const [qr, setQr] = useState<string | null>(null);
  const [failure, setFailure] = useState<string | null>(null);

  useEffect(() => {
    if (!key) { setQr(null); return; }
    void QRCode.toString(JSON.stringify({ url: camera.urls.whip, key }), { type: 'svg', margin: 2 }).then(setQr);
  }, [key, camera.urls.whip]);

  const make = async (): Promise<void> => {
    try {
      const made = await api.newPublishKey(camera.id);
      sessionStorage.setItem(`publish-key:${camera.id}`, made.key);
      setKey(made.key);
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
  };

  const shown = key ?? 'PUBLISH_KEY';
  const rtsp = camera.urls.rtsp.replace('rtsp://', `rtsp://camera:${shown}@`);
  return (
    <div class="publish">
      <div class="card">
        <h2>Publish to this camera</h2>
        <p class="muted">{props.idle ? 'Nothing is coming in. ' : ''}Point a camera at one of these addresses, with a publish key of this camera.</p>
        {key ? (
          <div class="key">
            {qr && <div class="qr" aria-label="QR code of the address and the key" dangerouslySetInnerHTML={{ __html: qr }} />}
            <div><span class="muted">Publish key, shown in this browser only until it is closed</span><Copy text={key} /></div>
          </div>
        ) : (
          <button type="button" class="primary" onClick={() => void make()}>Make a publish key</button>
        )}
        {failure && <p class="failure" role="alert">{failure}</p>}
        <dl class="lines">
          <dt>WHIP (wearable camera, OBS 30+: Service “WHIP”, Bearer token = the key)</dt>
          <dd><Copy text={camera.urls.whip} /></dd>
          <dt>RTSP over TCP</dt>
          <dd><Copy text={rtsp} /></dd>
          <dt>ffmpeg</dt>
          <dd><Copy text={`ffmpeg -re -stream_loop -1 -i video.mp4 -c copy -f rtsp -rtsp_transport tcp '${rtsp}'`} /></dd>
          <dt>GStreamer</dt>
          <dd><Copy text={`gst-launch-1.0 v4l2src ! videoconvert ! x264enc tune=zerolatency key-int-max=60 ! h264parse ! rtspclientsink protocols=tcp location='${rtsp}'`} /></dd>
        </dl>
      </div>
    </div>
  );
};

const Copy = (props: { text: string }) => {
  const [done, setDone] = useState(false);
  const copy = (): void => {
    void navigator.clipboard.writeText(props.text).then(() => {
      setDone(true);
      setTimeout(() => setDone(false), 1500);
    }).catch(() => undefined); // without HTTPS browsers refuse; the text can be selected
  };
  return <div class="copy"><code tabIndex={0}>{props.text}</code><button type="button" class="quiet" onClick={copy}>{done ? 'Copied' : 'Copy'}</button></div>;
};
