/** A plain publisher and a plain viewer in a browser's page: only what WHIP and WHEP ask for, none of our own player. */
import type { Page } from 'playwright-core';
import { readFrameStrip } from './frame-strip.ts';
import type { TestServer } from './server.ts';

/** What a viewer's `inbound-rtp` says of its video. */
export interface VideoReception {
  readonly framesReceived: number;
  readonly framesDecoded: number;
  readonly framesDropped: number;
  readonly packetsLost: number;
  readonly pliCount: number;
  readonly freezeCount: number;
  readonly width: number;
  readonly state: string;
}

interface PeerPage {
  peers: Record<string, { readonly pc: RTCPeerConnection; readonly video: HTMLVideoElement | null }>;
}

/** A page of the server's origin that does nothing. */
export const blankPage = async (open: () => Promise<Page>, server: TestServer): Promise<Page> => {
  const page = await open();
  await page.goto(`${server.http}/v1/health`);
  await page.setContent('<body style="margin:0;background:#000"></body>');
  await page.evaluate(() => { (globalThis as unknown as PeerPage).peers = {}; });
  return page;
};

/** Publishes the browser's fake camera as the peer `name`, H.264 unless `only` names the one codec it offers; resolves once connected, with the `Location` of the session. */
export const publishCamera = (page: Page, url: string, token: string, name = 'publisher', only: string | null = null): Promise<string> =>
  page.evaluate(async ([to, bearer, as, codec]) => {
    const media = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720, frameRate: 30 } });
    const pc = new RTCPeerConnection();
    (globalThis as unknown as PeerPage).peers[String(as)] = { pc, video: null };
    const [track] = media.getVideoTracks();
    if (!track) throw new Error('no camera');
    const transceiver = pc.addTransceiver(track, { direction: 'sendonly', streams: [media], sendEncodings: [{ maxBitrate: 4e6 }] });
    const codecs = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
    const of = (type: string): RTCRtpCodec[] => codecs.filter((each) => each.mimeType === type);
    transceiver.setCodecPreferences(codec == null ? [...of('video/H264'), ...codecs.filter((each) => each.mimeType !== 'video/H264')] : of(codec));
    const parameters = transceiver.sender.getParameters();
    // TypeScript's DOM library does not know this value yet.
    Object.assign(parameters, { degradationPreference: 'maintain-framerate-and-resolution' });
    await transceiver.sender.setParameters(parameters);
    const connected = new Promise((resolve, reject) => {
      pc.onconnectionstatechange = () => {
        if (pc.connectionState === 'connected') resolve(null);
        if (pc.connectionState === 'failed') reject(new Error('not connected'));
      };
    });
    await pc.setLocalDescription();
    const answer = await fetch(String(to), { method: 'POST', headers: { 'content-type': 'application/sdp', authorization: `Bearer ${String(bearer)}` }, body: pc.localDescription?.sdp ?? '' });
    if (answer.status !== 201) throw new Error(`${answer.status}: ${await answer.text()}`);
    await pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
    await connected;
    return answer.headers.get('location') ?? '';
  }, [url, token, name, only]);

/** Plays a camera as the peer `name`; resolves with the first decoded frame, with the `Location` of the session. */
export const playCamera = (page: Page, url: string, token: string, name = 'viewer'): Promise<string> =>
  page.evaluate(async ([from, bearer, as]) => {
    const pc = new RTCPeerConnection();
    const video = document.createElement('video');
    video.muted = true;
    video.autoplay = true;
    video.style.width = '30%';
    document.body.append(video);
    (globalThis as unknown as PeerPage).peers[String(as)] = { pc, video };
    pc.addTransceiver('video', { direction: 'recvonly' });
    pc.addTransceiver('audio', { direction: 'recvonly' });
    pc.ontrack = (event) => { if (event.track.kind === 'video') video.srcObject = new MediaStream([event.track]); };
    await pc.setLocalDescription();
    const answer = await fetch(String(from), { method: 'POST', headers: { 'content-type': 'application/sdp', authorization: `Bearer ${String(bearer)}` }, body: pc.localDescription?.sdp ?? '' });
    if (answer.status !== 201) throw new Error(`${answer.status}: ${await answer.text()}`);
    await pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
    await new Promise((resolve) => { video.requestVideoFrameCallback(resolve); });
    return answer.headers.get('location') ?? '';
  }, [url, token, name]);

export const reception = (page: Page, name = 'viewer'): Promise<VideoReception> =>
  page.evaluate(async (of) => {
    const peer = (globalThis as unknown as PeerPage).peers[of];
    if (!peer) throw new Error(`no peer ${of}`);
    for (const stat of (await peer.pc.getStats()).values() as Iterable<Record<string, unknown>>) {
      if (stat['type'] !== 'inbound-rtp' || stat['kind'] !== 'video') continue;
      const number = (key: string): number => Number(stat[key] ?? 0);
      return {
        framesReceived: number('framesReceived'), framesDecoded: number('framesDecoded'), framesDropped: number('framesDropped'), packetsLost: number('packetsLost'),
        pliCount: number('pliCount'), freezeCount: number('freezeCount'), width: peer.video?.videoWidth ?? 0, state: peer.pc.connectionState,
      };
    }
    throw new Error('no video is received');
  }, name);

/** The number in the frame-counter strip of the picture that the viewer `name` shows now; null where none can be read. */
export const counterShown = (page: Page, name = 'viewer'): Promise<number | null> =>
  page.evaluate(([of, reader]) => {
    const video = (globalThis as unknown as PeerPage).peers[String(of)]?.video;
    const context = new OffscreenCanvas(320, 10).getContext('2d');
    if (!video || !context) return null;
    context.drawImage(video, 0, 0, video.videoWidth, (video.videoHeight * 40) / 720, 0, 0, 320, 10);
    return ((0, eval)(`(${String(reader)})`) as typeof readFrameStrip)(context.getImageData(0, 0, 320, 10).data, 320, 10, 4);
  }, [name, readFrameStrip.toString()]);

/** Ends the peer `name` as a closed tab would: nothing is said to the server. */
export const closePeer = (page: Page, name: string): Promise<void> =>
  page.evaluate((of) => { (globalThis as unknown as PeerPage).peers[of]?.pc.close(); }, name);

/** Video access units the server has received of a camera's session. */
export const receivedByServer = async (server: TestServer, camera: string): Promise<number> => {
  const response = await fetch(`${server.edge}/v1/edge/cameras/${camera}/stats`, { headers: { authorization: `Bearer ${server.token}` } });
  if (!response.ok) throw new Error(`statistics of ${camera}: ${response.status}`);
  return ((await response.json()) as { access_units: number }).access_units;
};

/** How many the server has received and the viewer decoded, at one moment: of several looks the one that took least. */
export const bothCounts = async (server: TestServer, camera: string, page: Page): Promise<{ readonly received: number; readonly decoded: number; readonly viewer: VideoReception }> => {
  let best: { readonly took: number; readonly received: number; readonly decoded: number; readonly viewer: VideoReception } | null = null;
  for (let i = 0; i < 8; i++) {
    const began = performance.now();
    const [received, viewer] = await Promise.all([receivedByServer(server, camera), reception(page)]);
    const took = performance.now() - began;
    if (!best || took < best.took) best = { took, received, decoded: viewer.framesDecoded, viewer };
  }
  if (!best) throw new Error('never looked');
  return best;
};

/** Share of the frames the server received that the viewer decoded in `seconds`. */
export const decodedShare = async (server: TestServer, camera: string, page: Page, seconds: number): Promise<{ readonly share: number; readonly received: number; readonly decoded: number; readonly viewer: VideoReception }> => {
  const before = await bothCounts(server, camera, page);
  await page.waitForTimeout(seconds * 1000);
  const after = await bothCounts(server, camera, page);
  const received = after.received - before.received;
  const decoded = after.decoded - before.decoded;
  return { share: decoded / received, received, decoded, viewer: after.viewer };
};
