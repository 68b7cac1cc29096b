/** Every door a credential can be shown at: REST, the media URLs at the edge's port and through the front door, their WebSocket, RTSP. */
import { readFileSync } from 'node:fs';
import { WebSocket } from 'ws';
import { FIXTURES } from './media.ts';
import { askRtsp } from './raw-sockets.ts';
import type { TestServer } from './server.ts';

export interface DoorAnswer {
  readonly status: number;
  /** Status line's fields and body, whole: what a leak would be in. */
  readonly text: string;
  /** The body, where it is problem+json. */
  readonly problem: Readonly<Record<string, unknown>> | null;
  /** `WWW-Authenticate`. */
  readonly challenge: string | null;
}

export interface Door {
  readonly name: string;
  readonly kind: 'http' | 'websocket' | 'rtsp';
  readonly action: 'publish' | 'play';
  /** `quietMs`: a WebSocket that says nothing for so long has let us in. */
  knock(camera: string, credential: string | null, quietMs?: number): Promise<DoorAnswer>;
}

const offer = (name: string): string => readFileSync(`${FIXTURES}/sdp/${name}.sdp`, 'utf8').replaceAll(/\r?\n/g, '\r\n');
export const PUBLISH_OFFER = offer('chromium-publish');
export const PLAY_OFFER = offer('chromium-play');

/** One request without anything of our own around it. */
export const ask = async (url: string, credential: string | null, init: RequestInit = {}): Promise<DoorAnswer> => {
  const headers = new Headers(init.headers);
  if (credential !== null) headers.set('authorization', `Bearer ${credential}`);
  const response = await fetch(url, { ...init, headers });
  const body = await response.text();
  const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json') === true;
  return {
    status: response.status,
    text: `${[...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n')}\n\n${body}`,
    problem: isProblem ? (JSON.parse(body) as Record<string, unknown>) : null,
    challenge: response.headers.get('www-authenticate'),
  };
};

/** The same where the answer of who is let in has no end: it is left at once. */
const askEndless = async (url: string, credential: string | null): Promise<DoorAnswer> => {
  const response = await fetch(url, { headers: credential === null ? {} : { authorization: `Bearer ${credential}` } });
  if (!response.ok) return ask(url, credential);
  await response.body?.cancel();
  return { status: response.status, text: '', problem: null, challenge: null };
};

/** A WebSocket's close code says what the status of an answer would: 4401 is 401. Open and silent for `quietMs` is 200. */
export const knockSocket = (url: string, credential: string | null, by: 'query' | 'sub-protocol' | 'message', quietMs = 15_000): Promise<DoorAnswer> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(by === 'query' && credential !== null ? `${url}?token=${encodeURIComponent(credential)}` : url, by === 'sub-protocol' && credential !== null ? [`bearer.${credential}`] : []);
    const timer = setTimeout(() => { socket.terminate(); resolve({ status: 200, text: '', problem: null, challenge: null }); }, quietMs);
    socket.once('open', () => { if (by === 'message' || credential === null) socket.send(JSON.stringify(credential === null ? { type: 'hello' } : { type: 'auth', token: credential })); });
    socket.once('close', (code, reason) => {
      clearTimeout(timer);
      resolve({ status: code - 4000, text: reason.toString(), problem: null, challenge: null });
    });
    socket.once('error', (error) => { clearTimeout(timer); reject(error); });
  });

const SDP = { 'content-type': 'application/sdp' };
const ANNOUNCEMENT = ['v=0', 'o=- 0 0 IN IP4 127.0.0.1', 's=-', 't=0 0', 'm=video 0 RTP/AVP 96', 'a=rtpmap:96 H264/90000', 'a=fmtp:96 packetization-mode=1', 'a=control:streamid=0', ''].join('\r\n');
const withToken = (url: string, credential: string | null): string => (credential === null ? url : `${url}?token=${encodeURIComponent(credential)}`);

const mediaDoors = (at: string, base: string): Door[] => {
  const http = (name: string, action: Door['action'], knock: Door['knock']): Door => ({ name: `${at} ${name}`, kind: 'http', action, knock });
  const sockets = (name: string, path: (camera: string) => string): Door[] => (['query', 'sub-protocol', 'message'] as const).map((by) => ({
    name: `${at} ${name} by ${by}`, kind: 'websocket', action: 'play',
    knock: (camera, credential, quietMs) => knockSocket(`${base.replace('http', 'ws')}${path(camera)}`, credential, by, quietMs),
  }));
  return [
    http('POST /whip', 'publish', (camera, credential) => ask(`${base}/whip/${camera}`, credential, { method: 'POST', headers: SDP, body: PUBLISH_OFFER })),
    http('POST /whep sendonly', 'publish', (camera, credential) => ask(`${base}/whep/${camera}`, credential, { method: 'POST', headers: SDP, body: PUBLISH_OFFER })),
    http('DELETE /whip session', 'publish', (camera, credential) => ask(`${base}/whip/${camera}/no-such`, credential, { method: 'DELETE' })),
    http('PATCH /whip session', 'publish', (camera, credential) => ask(`${base}/whip/${camera}/no-such`, credential, { method: 'PATCH' })),
    http('POST /uploads', 'publish', (camera, credential) => ask(`${base}/v1/recordings/${camera}/uploads?start=2026-01-01T00:00:00Z`, credential, { method: 'POST', headers: { 'content-type': 'video/mp4' }, body: 'no MP4' })),
    http('POST /whep recvonly', 'play', (camera, credential) => ask(`${base}/whep/${camera}`, credential, { method: 'POST', headers: SDP, body: PLAY_OFFER })),
    http('POST /whep annotated', 'play', (camera, credential) => ask(`${base}/whep/${camera}/annotated`, credential, { method: 'POST', headers: SDP, body: PLAY_OFFER })),
    http('DELETE /whep annotated session', 'play', (camera, credential) => ask(`${base}/whep/${camera}/annotated/no-such`, credential, { method: 'DELETE' })),
    http('DELETE /whep session', 'play', (camera, credential) => ask(`${base}/whep/${camera}/no-such`, credential, { method: 'DELETE' })),
    http('GET /hls multivariant', 'play', (camera, credential) => ask(`${base}/hls/${camera}/index.m3u8`, credential)),
    http('GET /hls by ?token=', 'play', (camera, credential) => ask(withToken(`${base}/hls/${camera}/index.m3u8`, credential), null)),
    http('GET /hls media playlist', 'play', (camera, credential) => ask(`${base}/hls/${camera}/video.m3u8`, credential)),
    http('GET /hls annotated', 'play', (camera, credential) => ask(`${base}/hls/${camera}/annotated/index.m3u8`, credential)),
    http('GET snapshot', 'play', (camera, credential) => ask(`${base}/v1/cameras/${camera}/snapshot?width=64`, credential)),
    http('GET snapshot by ?token=', 'play', (camera, credential) => ask(withToken(`${base}/v1/cameras/${camera}/snapshot`, credential), null)),
    http('GET snapshot annotated', 'play', (camera, credential) => ask(`${base}/v1/cameras/${camera}/snapshot?width=64&annotated=true`, credential)),
    http('GET mjpeg', 'play', (camera, credential) => askEndless(`${base}/v1/cameras/${camera}/mjpeg?width=64`, credential)),
    http('GET mjpeg by ?token=', 'play', (camera, credential) => askEndless(withToken(`${base}/v1/cameras/${camera}/mjpeg`, credential), null)),
    ...sockets('detections/live', (camera) => `/v1/cameras/${camera}/detections/live`),
    ...sockets('ws/stream', (camera) => `/ws/stream/${camera}`),
  ];
};

const basic = (credential: string | null): string[] => (credential === null ? [] : [`Authorization: Basic ${Buffer.from(`any:${credential}`).toString('base64')}`]);
const rtspDoors = (url: string): Door[] => {
  const door = (name: string, action: Door['action'], knock: (camera: string, credential: string | null) => ReturnType<typeof askRtsp>): Door => ({
    name: `rtsp ${name}`, kind: 'rtsp', action,
    async knock(camera, credential) {
      const { status, text } = await knock(camera, credential);
      return { status, text, problem: null, challenge: /^www-authenticate: (.*)$/im.exec(text)?.[1] ?? null };
    },
  });
  return [
    door('ANNOUNCE by Basic', 'publish', (camera, credential) => askRtsp(url, 'ANNOUNCE', `${url}/${camera}`, basic(credential), ANNOUNCEMENT)),
    door('ANNOUNCE by ?token=', 'publish', (camera, credential) => askRtsp(url, 'ANNOUNCE', withToken(`${url}/${camera}`, credential), [], ANNOUNCEMENT)),
    door('DESCRIBE by Basic', 'play', (camera, credential) => askRtsp(url, 'DESCRIBE', `${url}/${camera}`, basic(credential))),
  ];
};

/** All media doors of a server. */
export const doorsOf = (server: TestServer): Door[] => [...mediaDoors('front door', server.http), ...mediaDoors('edge', server.edge), ...rtspDoors(server.rtsp)];
