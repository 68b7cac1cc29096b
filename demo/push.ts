/**
 * The demo's two cameras: adds them by REST, pushes their clips by RTSP as cameras would, and checks that both are detected. A process of its own:
 * what happens here costs the server nothing. Exits 1 if a camera has no detection within 30 s; ends with its parent.
 */
import { join } from 'node:path';
import { Socket } from 'node:net';
import { sleep, systemClock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';
import { readClip } from './mp4-clip.ts';
import { RtspCamera } from './rtsp-camera.ts';

interface DemoCamera {
  readonly id: string;
  readonly name: string;
  readonly clip: string;
  readonly pipelines: readonly string[];
}

const CAMERAS: readonly DemoCamera[] = [
  { id: 'inspection-belt', name: 'Inspection belt', clip: 'inspection-720p30.mp4', pipelines: ['inspect-320'] },
  { id: 'street', name: 'Street', clip: 'street-720p30.mp4', pipelines: ['detect'] },
];
const DETECTED_WITHIN_MS = 30_000;
const RETRY_MS = 2_000;

const http = process.env['DEMO_HTTP'] ?? 'http://localhost:8080';
const rtsp = process.env['DEMO_RTSP'] ?? 'rtsp://localhost:8554';
const password = process.env['DEMO_PASSWORD'] ?? '';

const request = async <T>(path: string, token: string | null, body?: unknown): Promise<T> => {
  const response = await fetch(`${http}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'content-type': 'application/json', ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${path} was answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
};

/** The camera's publish key: the camera's own if it is new, else one made now. */
const keyOf = async (token: string, camera: DemoCamera): Promise<string> => {
  const { items } = await request<{ items: { id: string }[] }>('/v1/cameras', token);
  if (items.some((item) => item.id === camera.id)) return (await request<{ key: string }>(`/v1/cameras/${camera.id}/keys`, token, { kind: 'publish' })).key;
  return (await request<{ publish_key: string }>('/v1/cameras', token, { id: camera.id, name: camera.name, pipelines: camera.pipelines })).publish_key;
};

/** Pushes for ever; a lost server is dialled again. */
const push = async (camera: DemoCamera, key: string): Promise<never> => {
  const clip = await readClip(join(import.meta.dirname, 'clips', camera.clip));
  for (;;) {
    try {
      using pushing = await RtspCamera.start({ url: `${rtsp}/${camera.id}`, key, clip });
      await pushing.closed();
    } catch (error) {
      console.error(`${camera.name}: ${messageOf(error)}`);
    }
    await sleep(RETRY_MS);
  }
};

const detectedClasses = async (token: string, camera: DemoCamera, since: string, deadline: Milliseconds): Promise<string[]> => {
  while (systemClock.monotonic() < deadline) {
    const { items } = await request<{ items: { class_name: string }[] }>(`/v1/detections?camera=${camera.id}&from=${since}&limit=200`, token);
    if (items.length > 0) return [...new Set(items.map((item) => item.class_name))];
    await sleep(500);
  }
  return [];
};

const main = async (): Promise<number> => {
  const { access_token: token } = await request<{ access_token: string }>('/v1/auth/login', null, { username: 'admin', password });
  const since = new Date(systemClock.now()).toISOString();
  for (const camera of CAMERAS) void push(camera, await keyOf(token, camera));
  const deadline = systemClock.monotonic() + DETECTED_WITHIN_MS; // of both: they began together
  for (const camera of CAMERAS) {
    const classes = await detectedClasses(token, camera, since, deadline);
    if (classes.length === 0) {
      console.error(`demo: ${camera.name} has no detection within ${DETECTED_WITHIN_MS / 1000} s`);
      return 1;
    }
    console.log(`${camera.name}: detecting ${classes.join(', ')}`);
  }
  console.log(`\nThe demo runs: open ${http} and log in as admin with the password ${password}\nStop it with Ctrl-C.`);
  console.log(JSON.stringify({ message: 'ready', urls: { page: http, rtsp } }));
  return new Promise<number>(() => undefined);
};

// The parent's end of the pipe closes with it, however it dies.
const parent = new Socket({ fd: 3 });
parent.on('error', () => process.exit(0)).on('close', () => process.exit(0)).resume();
process.exit(await main().catch((error: unknown) => {
  console.error(`demo: ${messageOf(error)}`);
  return 1;
}));
