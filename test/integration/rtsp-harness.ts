/** An edge with nothing but ingest: registry, RTSP server, and a door with three keys. For the RTSP tests. */
import { createHash } from 'node:crypto';
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { promisify } from 'node:util';
import { newKey } from '../../control-api/cameras/keys.ts';
import type { AccessUnit } from '../../core/access-unit.ts';
import { systemClock } from '../../core/clock.ts';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import { EdgeStreamRegistry } from '../../ingest/stream-registry.ts';
import { RtspServer } from '../../ingest/rtsp/rtsp-server.ts';
import type { CameraStream, SessionInfo } from '../../ingest/port.ts';
import type { Authorizer, CameraResolver, CameraSpec, Principal } from '../../media-control/port.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';

/** As control makes it: what its row keeps must open the door by Digest, too. */
const made = newKey('line-1', 'publish', 0);
export const KEY = made.secret;
export const FOREIGN_KEY = 'key-of-line-2';
export const clip = (name: string): string => new URL(`../fixtures/media/${name}.mp4`, import.meta.url).pathname;

const principal = (id: string, camera: string): Principal => ({ kind: 'key', id, camera, grants: 'publish' });
const PRINCIPALS = new Map<string, Principal>([[KEY, principal('k1', 'line-1')], [FOREIGN_KEY, principal('k2', 'line-2')]]);

export class FakeAuthorizer implements Authorizer {
  readonly listeners = new Set<(id: string) => void>();

  authorize(credential: string | null, _action: string, camera: string): Promise<Principal> {
    const found = credential === null ? undefined : PRINCIPALS.get(credential);
    if (!found) return Promise.reject(new MediaError('UNAUTHENTICATED', 'unknown credential'));
    if (found.kind === 'key' && found.camera !== camera) return Promise.reject(new MediaError('PERMISSION_DENIED', 'another camera\'s key'));
    return Promise.resolve(found);
  }

  digestHa1s(camera: string): readonly { readonly keyId: string; readonly ha1: string }[] {
    return camera === 'line-1' ? [{ keyId: 'k1', ha1: made.row.ha1 }] : [];
  }

  onRevoked(listener: (id: string) => void): Disposable {
    this.listeners.add(listener);
    return { [Symbol.dispose]: () => { this.listeners.delete(listener); } };
  }
}

export interface Harness extends AsyncDisposable {
  readonly registry: EdgeStreamRegistry;
  readonly stream: CameraStream;
  readonly server: RtspServer;
  readonly authorizer: FakeAuthorizer;
  /** Every unit published, in order. */
  readonly units: AccessUnit[];
  readonly sessions: SessionInfo[];
  url(user?: string, password?: string): string;
  /** Resolves when the latest session is in this phase. */
  untilPhase(phase: SessionInfo['phase']): Promise<SessionInfo>;
  /** Resolves when so many units are there. */
  untilUnits(count: number): Promise<void>;
}

export const startHarness = async (options: { readonly auth?: ('basic' | 'digest')[]; readonly graceSeconds?: number; readonly maxSessions?: number; readonly clock?: Clock } = {}): Promise<Harness> => {
  const clock = options.clock ?? systemClock;
  const metrics = createMetrics('test');
  const logger = silentLogger();
  const registry = new EdgeStreamRegistry({ graceSeconds: options.graceSeconds ?? 15, maxSessions: options.maxSessions ?? 10, clock, metrics, logger });
  const stream = registry.add({ id: 'line-1' });
  registry.add({ id: 'line-2' });
  const authorizer = new FakeAuthorizer();
  const cameras: CameraResolver = {
    resolve: (id) => Promise.resolve<CameraSpec | undefined>(registry.get(id) ? { id, name: id, source: { type: 'push' }, detectors: [], recording: 'off' } : undefined),
  };
  const server = await RtspServer.start({ config: { port: 0, auth: options.auth ?? ['basic'], max_connections: 64 }, bind: '127.0.0.1', streams: registry, authorizer, cameras, clock, logger });
  const units: AccessUnit[] = [];
  const sessions: SessionInfo[] = [];
  const waiters = new Set<() => void>();
  const wake = (): void => { for (const waiter of waiters) waiter(); };
  stream.hub.attach((unit) => { units.push(unit); wake(); });
  stream.onSession((session) => { sessions.push(session); wake(); });
  const until = <T>(probe: () => T | undefined): Promise<T> => new Promise((resolve) => {
    const check = (): void => {
      const value = probe();
      if (value === undefined) return;
      waiters.delete(check);
      resolve(value);
    };
    waiters.add(check);
    check();
  });
  return {
    registry, stream, server, authorizer, units, sessions,
    url: (user = 'any', password = KEY) => `rtsp://${user}:${password}@127.0.0.1:${String(server.port)}/line-1`,
    untilPhase: (phase) => until(() => (sessions.at(-1)?.phase === phase ? sessions.at(-1) : undefined)),
    untilUnits: async (count) => { await until(() => (units.length >= count ? true : undefined)); },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      registry[Symbol.dispose]();
    },
  };
};

export interface Run { readonly code: number | null; readonly stderr: string }

/** A publisher process; `done` resolves with its exit code and the end of what it said. */
export const start = (command: string, args: readonly string[]): { readonly child: ChildProcess; readonly done: Promise<Run> } => {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  for (const pipe of [child.stdout, child.stderr]) pipe.on('data', (chunk: Buffer) => { stderr = (stderr + chunk.toString()).slice(-4000); });
  return { child, done: new Promise((resolve) => child.on('close', (code) => { resolve({ code, stderr }); })) };
};

export const ffmpeg = (input: readonly string[], url: string, transport = 'tcp') =>
  start('ffmpeg', ['-hide_banner', '-loglevel', 'error', ...input, '-c', 'copy', '-f', 'rtsp', '-rtsp_transport', transport, url]);

export interface FileUnit { readonly stream: number; readonly dts: number; readonly pts: number; readonly bytes: number; readonly hash: string }

/** Every access unit of a file as its demuxer gives it, hashed by ffmpeg; times in ticks of each stream's time base. */
export const unitsOf = async (file: string): Promise<{ readonly units: readonly FileUnit[]; readonly timeBases: readonly number[] }> => {
  const { stdout } = await promisify(execFile)('ffmpeg', ['-loglevel', 'error', '-i', file, '-map', '0', '-c', 'copy', '-copyts', '-f', 'framehash', '-hash', 'sha256', '-'], { maxBuffer: 16 << 20 });
  const timeBases: number[] = [];
  const units: FileUnit[] = [];
  for (const line of stdout.split('\n')) {
    const tb = /^#tb (\d+): (\d+)\/(\d+)/.exec(line);
    if (tb) timeBases[Number(tb[1])] = Number(tb[3]) / Number(tb[2]);
    if (line === '' || line.startsWith('#')) continue;
    const [stream, dts, pts, , bytes, hash] = line.split(',').map((field) => field.trim());
    units.push({ stream: Number(stream), dts: Number(dts), pts: Number(pts), bytes: Number(bytes), hash: hash ?? '' });
  }
  return { units, timeBases };
};

export const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

/** A bare client: sends text or bytes, reads one answer at a time. */
export class RawClient implements Disposable {
  readonly socket: Socket;
  #text = '';

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => { this.#text += chunk.toString('latin1'); });
    socket.on('error', () => undefined);
  }

  static async open(server: { readonly port: number }): Promise<RawClient> {
    const socket = connect(server.port, '127.0.0.1');
    const client = new RawClient(socket);
    await once(socket, 'connect');
    return client;
  }

  async ask(method: string, uri: string, fields: readonly string[] = [], body = ''): Promise<string> {
    const length = body === '' ? [] : ['Content-Type: application/sdp', `Content-Length: ${String(Buffer.byteLength(body))}`];
    this.socket.write(`${[`${method} ${uri} RTSP/1.0`, 'CSeq: 7', ...fields, ...length].join('\r\n')}\r\n\r\n${body}`);
    while (!this.#text.includes('\r\n\r\n')) await once(this.socket, 'data');
    const answer = this.#text;
    this.#text = '';
    return answer;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

export const BASIC = `Authorization: Basic ${Buffer.from(`any:${KEY}`).toString('base64')}`;
export const URI = 'rtsp://127.0.0.1/line-1';
export const sdp = (...media: readonly string[]): string => ['v=0', 'o=- 0 0 IN IP4 127.0.0.1', 's=-', 't=0 0', ...media, ''].join('\r\n');
export const H264 = ['m=video 0 RTP/AVP 96', 'a=rtpmap:96 H264/90000', 'a=fmtp:96 packetization-mode=1', 'a=control:streamid=0'];
export const TCP = (channels: string): string => `Transport: RTP/AVP/TCP;unicast;interleaved=${channels};mode=record`;
export const sessionOf = (answer: string): string => `Session: ${/Session: (\w+)/.exec(answer)?.[1] ?? ''}`;
