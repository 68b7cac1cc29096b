import { useEffect, useState } from 'preact/hooks';
import QRCode from 'qrcode';
import { inWords } from '../api-error.ts';
import { api } from '../api.ts';
import type { Camera } from '../api.ts';
import { may } from '../session.ts';
import { Copy } from '../ui/copy.tsx';

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
    setFailure(null);
    try {
      const made = await api.newPublishKey(camera.id);
      sessionStorage.setItem(`publish-key:${camera.id}`, made.key);
      setKey(made.key);
    } catch (error) {
      setFailure(inWords(error));
    }
  };

  const rtsp = camera.urls.rtsp.replace('rtsp://', `rtsp://${camera.id}:${key ?? 'PUBLISH_KEY'}@`);
  const toServer = `-f rtsp -rtsp_transport tcp '${rtsp}'`;
  return (
    <div class="publish card">
      <h2>Publish to this camera</h2>
      <p class="muted">{props.idle ? 'Nothing is coming in. ' : ''}Send video to one of these addresses with a publish key of this camera. It appears here by itself.</p>
      {key ? (
        <div class="key">
          {qr && <div class="qr" role="img" aria-label="QR code of the address and the key" dangerouslySetInnerHTML={{ __html: qr }} />}
          <div>
            <span class="muted">Publish key, shown in this tab only</span><Copy text={key} />
            <p class="muted small">The QR code holds the WHIP address and the key, for a camera that scans it.</p>
          </div>
        </div>
      ) : may('camera:manage') ? (
        <button type="button" class="primary" onClick={() => void make()}>Make a publish key</button>
      ) : (
        <p class="muted">An administrator can make a publish key; put it where PUBLISH_KEY stands.</p>
      )}
      {failure && <p class="failure" role="alert">{failure}</p>}
      <dl class="lines">
        <dt>WHIP <small>wearable and phone cameras: this address, the key as Bearer token</small></dt>
        <dd><Copy text={camera.urls.whip} /></dd>
        <dt>OBS Studio 30 or newer <small>Settings → Stream → Service “WHIP”: the address above as Server, the key as Bearer Token. Output → B-frames 0, keyframe interval 2 s</small></dt>
        <dt>RTSP over TCP <small>IP cameras that push, encoders</small></dt>
        <dd><Copy text={rtsp} /></dd>
        <dt>ffmpeg <small>a file, as it is</small></dt>
        <dd><Copy text={`ffmpeg -re -stream_loop -1 -i video.mp4 -c copy ${toServer}`} /></dd>
        <dt>ffmpeg <small>a USB camera</small></dt>
        <dd><Copy text={`ffmpeg -f v4l2 -i /dev/video0 -c:v libx264 -preset veryfast -tune zerolatency -pix_fmt yuv420p -g 60 ${toServer}`} /></dd>
        <dt>GStreamer <small>a USB camera</small></dt>
        <dd><Copy text={`gst-launch-1.0 v4l2src ! videoconvert ! video/x-raw,format=I420 ! x264enc tune=zerolatency key-int-max=60 ! h264parse ! rtspclientsink protocols=tcp location='${rtsp}'`} /></dd>
      </dl>
    </div>
  );
};
