/** An edge with nothing but WHIP: media HTTP server, WebRTC engine, registry, and a door with three keys. For the WHIP tests. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { Config } from '../../config/schema.ts';
import type { AccessUnit } from '../../core/access-unit.ts';
import { systemClock } from '../../core/clock.ts';
import type { CameraStream, SessionInfo } from '../../ingest/port.ts';
import { EdgeStreamRegistry } from '../../ingest/stream-registry.ts';
import { WhipEndpoint } from '../../ingest/whip/whip-endpoint.ts';
import type { CameraResolver, CameraSpec } from '../../media-control/port.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { readBody } from '../../transport/http/body.ts';
import { MediaHttpServer } from '../../transport/http/media-http-server.ts';
import { NdcEngine } from '../../transport/webrtc/ndc-engine.ts';
import { clip } from '../support/media.ts';
import { FakeAuthorizer } from './rtsp-harness.ts';

export interface WhipHarness extends AsyncDisposable {
  readonly base: string;
  readonly registry: EdgeStreamRegistry;
  readonly engine: NdcEngine;
  readonly endpoint: WhipEndpoint;
  readonly authorizer: FakeAuthorizer;
  readonly stream: CameraStream;
  /** What the way from the camera carries, bits per second. */
  bandwidthHint: number | undefined;
  /** Every unit published, in order. */
  readonly units: AccessUnit[];
  readonly sessions: SessionInfo[];
  /** Resolves when `condition` holds, asked after every unit and session change. */
  until(condition: () => boolean): Promise<void>;
}

export const startWhip = async (options: { readonly graceSeconds?: number; readonly maxSessions?: number } = {}): Promise<WhipHarness> => {
  const metrics = createMetrics('test');
  const logger = silentLogger();
  const clock = systemClock;
  const registry = new EdgeStreamRegistry({ graceSeconds: options.graceSeconds ?? 15, maxSessions: options.maxSessions ?? 10, clock, metrics, logger });
  const stream = registry.add({ id: 'line-1' });
  const authorizer = new FakeAuthorizer();
  const cameras: CameraResolver = {
    resolve: (id) => Promise.resolve<CameraSpec | undefined>(registry.get(id) ? { id, name: id, source: { type: 'push' }, detectors: [], recording: 'off' } : undefined),
  };
  const server = new MediaHttpServer({ clock, logger, metrics, origins: ['*'], health: () => ({ status: 'ok' }) });
  server.route('GET', '/page', ({ response }) => { response.writeHead(200, { 'content-type': 'text/html' }); response.end('<!doctype html><title>publisher</title>'); });
  const engine = await NdcEngine.start({ port: 0, bind: '127.0.0.1', additionalHosts: [], clock, logger });
  const endpoint = new WhipEndpoint({ router: server, readBody, authorizer, cameras, streams: registry, bandwidthHint: () => harness.bandwidthHint, engine, clock, logger, config: Config.parse({}).webrtc });
  await server.listen(0, '127.0.0.1');

  const units: AccessUnit[] = [];
  const sessions: SessionInfo[] = [];
  const waiters = new Set<() => void>();
  const wake = (): void => { for (const waiter of waiters) waiter(); };
  stream.hub.attach((unit) => { units.push(unit); wake(); });
  stream.onSession((session) => { sessions.push(session); wake(); });
  const harness: WhipHarness = {
    bandwidthHint: undefined,
    base: `http://127.0.0.1:${String(server.port)}`, registry, engine, endpoint, authorizer, stream, units, sessions,
    until: (condition) => new Promise((resolve) => {
      const check = (): void => { if (condition()) { waiters.delete(check); resolve(); } };
      waiters.add(check);
      check();
    }),
    async [Symbol.asyncDispose]() {
      endpoint[Symbol.dispose]();
      await engine[Symbol.asyncDispose]();
      registry[Symbol.dispose]();
      await server[Symbol.asyncDispose]();
    },
  };
  return harness;
};

/** A test clip as MJPEG, which Chromium plays as its camera; disposing deletes it. */
export const mjpegCamera = async (name: string, seconds: number): Promise<{ readonly file: string } & AsyncDisposable> => {
  const folder = await mkdtemp(join(tmpdir(), 'imageflow-camera-'));
  const file = join(folder, 'camera.mjpeg');
  await promisify(execFile)('ffmpeg', ['-hide_banner', '-loglevel', 'error', '-t', String(seconds), '-i', clip(name), '-c:v', 'mjpeg', '-q:v', '3', '-an', file]);
  return { file, async [Symbol.asyncDispose]() { await rm(folder, { recursive: true, force: true }); } };
};

/** Publishes the page's camera by WHIP from a page of the media server's origin; resolves with status and Location. */
export const publishFromPage = (page: Page, options: { readonly path: string; readonly key: string; readonly codec?: string; readonly audio?: boolean; readonly simulcast?: boolean; readonly maxBitrate?: number }): Promise<{ readonly status: number; readonly location: string | null; readonly answer: string }> =>
  page.evaluate(async ({ path, key, codec, audio, simulcast, maxBitrate }) => {
    const media = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720, frameRate: 30 }, audio: audio ?? false });
    const pc = new RTCPeerConnection();
    Object.assign(window, { pc, media });
    const video = media.getVideoTracks()[0];
    if (!video) throw new Error('no camera');
    const encodings = simulcast ? [{ rid: 'q', scaleResolutionDownBy: 4 }, { rid: 'h', scaleResolutionDownBy: 2 }, { rid: 'f' }] : [{ maxBitrate: maxBitrate ?? 4e6 }];
    const transceiver = pc.addTransceiver(video, { direction: 'sendonly', streams: [media], sendEncodings: encodings });
    for (const track of media.getAudioTracks()) pc.addTransceiver(track, { direction: 'sendonly', streams: [media] });
    if (codec) transceiver.setCodecPreferences(RTCRtpSender.getCapabilities('video')?.codecs.filter((c) => c.mimeType.toLowerCase() === `video/${codec}` || /rtx/.test(c.mimeType)) ?? []);
    const parameters = transceiver.sender.getParameters();
    parameters.degradationPreference = 'maintain-framerate-and-resolution' as RTCDegradationPreference;
    await transceiver.sender.setParameters(parameters);
    await pc.setLocalDescription();
    const response = await fetch(path, { method: 'POST', headers: { 'authorization': `Bearer ${key}`, 'content-type': 'application/sdp' }, body: pc.localDescription?.sdp ?? '' });
    const answer = await response.text();
    if (response.status === 201) await pc.setRemoteDescription({ type: 'answer', sdp: answer });
    return { status: response.status, location: response.headers.get('location'), answer };
  }, options);
