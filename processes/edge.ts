/** The edge process: every media socket, the Hub, recorder, HLS, packet histories. Run by the supervisor, or alone by `main.ts --role edge`. */
import { randomUUID, randomInt } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { paths } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { systemClock } from '../core/clock.ts';
import type { CameraId } from '../core/frame-ref.ts';
import { listenerUrl } from '../core/listener-url.ts';
import { DetectionsSocket } from '../distributor/annotations/detections-socket.ts';
import { HlsEndpoint } from '../distributor/hls/hls-endpoint.ts';
import { FrameSocket } from '../distributor/pictures/frame-socket.ts';
import { MjpegEndpoint } from '../distributor/pictures/mjpeg-endpoint.ts';
import { serveSnapshots } from '../distributor/pictures/snapshot-endpoint.ts';
import { playOnly, serveWhep } from '../distributor/webrtc/whep-endpoint.ts';
import { WhepEgress } from '../distributor/webrtc/whep-egress.ts';
import { ExtractorPool } from '../extractor/extractor-pool.ts';
import { HardwareDevices } from '../extractor/hardware/hardware-devices.ts';
import { probeInProcess } from '../extractor/hardware/hardware-probe.ts';
import { thisMachine } from '../extractor/hardware/machine.ts';
import { FileSources } from '../ingest/file/file-sources.ts';
import { KeyframeWatch } from '../ingest/keyframe-watch.ts';
import { RtspServer } from '../ingest/rtsp/rtsp-server.ts';
import { EdgeStreamRegistry } from '../ingest/stream-registry.ts';
import { UploadEndpoint } from '../ingest/upload/upload-endpoint.ts';
import { WhipEndpoint } from '../ingest/whip/whip-endpoint.ts';
import { DesiredStateAuthorizer } from '../media-control/authorizer.ts';
import { DesiredStateCameraResolver } from '../media-control/camera-resolver.ts';
import { ControlLink } from '../media-control/control-link.ts';
import { DesiredStateStore } from '../media-control/desired-state-store.ts';
import { DesiredStateDistribution } from '../media-control/distribution.ts';
import { FileEventJournal } from '../media-control/journal/event-journal.ts';
import { CameraMuxers } from '../muxer/camera-muxers.ts';
import { PartMuxer } from '../muxer/part-muxer.ts';
import { watchEventLoopDelay } from '../platform/event-loop-delay.ts';
import { GrpcClient } from '../platform/grpc/client.ts';
import { growHeapInLargeSteps } from '../platform/heap-growth.ts';
import { createLogger } from '../platform/logging.ts';
import { createMetrics } from '../platform/metrics.ts';
import { exitWithParent } from '../platform/parent-process.ts';
import { internalAddresses, internalToken } from '../platform/runtime-directory.ts';
import { SigningKey } from '../platform/signing-key.ts';
import { Spool } from '../platform/spool.ts';
import { EdgeLinkService } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import { Recorder } from '../recorder/recorder.ts';
import { readBody } from '../transport/http/body.ts';
import { MediaHttpServer } from '../transport/http/media-http-server.ts';
import { NdcEngine } from '../transport/webrtc/ndc-engine.ts';
import { lockData } from './data-lock.ts';
import { followDesiredState, recordingAsDesired } from './edge-cameras.ts';
import { serveEdgeStats } from './edge-stats.ts';

/** So many intervals without a key frame raise an alarm. */
const OVERDUE_KEYFRAMES = 3;
/** What uploads leave free; retention makes the rest of `recorder.min_free_bytes` again. */
const UPLOAD_RESERVE_BYTES = 64 << 20;

/** Serves until SIGTERM or its parent's end; then finishes segments and closes everything within the supervisor's patience. Throws when a port is taken. */
export const runEdge = async (config: Config): Promise<void> => {
  growHeapInLargeSteps();
  const clock = systemClock;
  const logger = createLogger({ level: config.log.level, component: 'edge' });
  const metrics = createMetrics('edge');
  const stop = new AbortController();
  const stopped = new Promise<void>((resolve) => { stop.signal.addEventListener('abort', () => { resolve(); }, { once: true }); });
  const finished = Promise.withResolvers<undefined>();
  const parent = exitWithParent({ onParentGone: async () => { stop.abort(); await finished.promise; } });
  process.once('SIGTERM', () => { stop.abort(); });
  if (!parent) process.once('SIGINT', () => { stop.abort(); });

  const place = paths(config);
  const addresses = internalAddresses(config);
  mkdirSync(place.dataDir, { recursive: true });

  try {
    await using stack = new AsyncDisposableStack();
    stack.use(lockData(config, 'edge'));
    stack.use(watchEventLoopDelay(metrics.eventLoopDelay, 'edge', clock));

    // The link to control: what is wanted, who may do what, what happened.
    const journal = stack.use(new FileEventJournal({
      directory: place.journal, maxBytes: config.journal.max_bytes, keepHours: config.journal.keep_hours, clock, logger,
      onDropped: (type, count) => { metrics.journalDropped.inc({ type }, count); },
    }));
    journal.append({ type: 'edge-started', at: clock.now() });
    const store = stack.use(new DesiredStateStore({ path: place.desiredState, logger, clock }));
    const control = stack.use(GrpcClient.dial(EdgeLinkService, addresses.control, { clock, ...internalToken(config, addresses.control) }));
    const authorizer = stack.use(new DesiredStateAuthorizer({ source: store, clock }));
    const distribution = stack.use(new DesiredStateDistribution(store));
    const cameras = new DesiredStateCameraResolver({ store, client: control });

    // Here, so that it is closed behind whatever writes events, and delivers the last of them.
    const bind = config.edge.bind ?? config.bind;
    const link = stack.use(new ControlLink({
      edgeId: hostname(), mediaBaseUrl: () => listenerUrl('http', bind, http.port, '127.0.0.1'),
      client: control, journal, store, inventory: () => recorder.knownSegments(), clock, logger,
    }));

    // Camera → Hub → parts → disk.
    const registry = stack.use(new EdgeStreamRegistry({ graceSeconds: config.session.grace_seconds, maxSessions: config.limits.sessions, clock, metrics, logger }));
    stack.use(registry.onStream((stream) => { stream.onSession((session) => { journal.append({ type: 'session', session }); }); }));
    const cameraAlarm = (camera: CameraId, code: string, problem: string | null, cleared: string): void => {
      journal.append({ type: 'alarm', alarm: { id: `${code}/${camera}`, camera, code, message: problem ?? cleared, raised: problem !== null, at: clock.now() } });
    };
    stack.use(new KeyframeWatch({
      streams: registry, overdueMs: config.webrtc.keyframe_interval_seconds * OVERDUE_KEYFRAMES * 1000, clock,
      onOverdue: (camera, problem) => { cameraAlarm(camera, 'keyframes_overdue', problem, `Camera ${camera} sends key frames again.`); },
    }));
    const muxers = stack.use(new CameraMuxers(registry, { partMs: config.media.part_ms, logger, metrics }));
    const recorder = stack.use(await Recorder.start(place.recordings, config.recorder, {
      streams: muxers, journal, clock, logger, metrics, ...recordingAsDesired(store, clock), key: await SigningKey.open(place.signingKey),
      partMaker: (camera, sessionId, sessionStart) => new PartMuxer({ camera, sessionId, sessionStart, partMs: config.media.part_ms }),
    }));
    const hardware = stack.use(new HardwareDevices({
      mode: config.extractor.hardware, machine: thisMachine(), probe: (device, signal) => probeInProcess(clock, device, signal), logger,
      onProblem: (message) => { journal.append({ type: 'alarm', alarm: { id: 'hardware', camera: null, code: 'hardware_unavailable', message, raised: true, at: clock.now() } }); },
    }));
    const extractors = stack.use(new ExtractorPool({
      processes: config.extractor.processes, idleSeconds: config.extractor.idle_seconds, annotatedStreams: config.extractor.annotated_streams, deadlineMs: config.inference.deadline_ms,
      workers: () => {
        const known = store.workerAddresses; // control knows where they are; before it has ever said so, this machine's
        return (known.length > 0 ? known : [addresses.worker]).map((address) => ({ address, ...internalToken(config, address) }));
      },
      hardware, logLevel: config.log.level, registry, specs: (camera) => store.camera(camera),
      onSpecsChanged: (listener) => store.onChange(listener), journal, clock, logger, metrics,
    }));

    // Doors.
    const health = { ports: {} as Record<string, number> };
    const http = stack.use(new MediaHttpServer({ clock, logger, metrics, origins: config.cors.origins, health: () => ({ status: 'ok', role: 'edge', time: new Date(clock.now()).toISOString(), ...health }) }));
    const engine = stack.use(await NdcEngine.start({
      port: config.webrtc.port, bind: config.webrtc.bind ?? config.bind, additionalHosts: config.webrtc.additional_hosts, clock, logger,
    }));
    const { pictures, annotated } = extractors;
    const toViewers = {
      engine, authorizer, detections: extractors, distribution, viewersPerCamera: config.limits.viewers_per_camera, clock, logger, metrics, random: () => randomInt(2 ** 32), newId: randomUUID,
    };
    const egress = stack.use(new WhepEgress({ ...toViewers, streams: registry, protocol: 'webrtc' }));
    const annotatedEgress = stack.use(new WhepEgress({ ...toViewers, streams: annotated, summon: (camera, signal) => annotated.summon(camera, signal), protocol: 'webrtc-annotated' }));
    const whip = stack.use(new WhipEndpoint({ router: http, engine, streams: registry, authorizer, cameras, readBody, bandwidthHint: (camera) => store.camera(camera)?.bandwidthHint, config: config.webrtc, clock, logger }));
    const whep = { router: http, authorizer, readBody, iceServers: config.webrtc.ice_servers };
    serveWhep({ ...whep, suffix: '', egress, publish: (request, offer) => whip.publish(request, offer) });
    serveWhep({ ...whep, suffix: '/annotated', egress: annotatedEgress, publish: () => Promise.reject(playOnly()) });
    const hlsDoor = {
      router: http, authorizer, distribution, clock, metrics,
      timing: { segmentSeconds: config.hls.segment_seconds, keyframeIntervalSeconds: config.webrtc.keyframe_interval_seconds },
    };
    const hls = stack.use(new HlsEndpoint({ ...hlsDoor, streams: muxers, infix: '', protocol: 'hls' }));
    const annotatedMuxers = stack.use(new CameraMuxers(annotated, { partMs: config.media.part_ms, logger, metrics }));
    const annotatedHls = stack.use(new HlsEndpoint({ ...hlsDoor, streams: annotatedMuxers, infix: '/annotated', protocol: 'hls-annotated', hold: (camera) => annotated.hold(camera) }));
    const watched = { router: http, authorizer, streams: registry, distribution, clock, logger, metrics };
    const sockets = stack.use(new DetectionsSocket({ ...watched, detections: extractors, socketsPerCamera: config.limits.viewers_per_camera }));
    const frames = stack.use(new FrameSocket({ ...watched, pictures, detections: extractors, socketsPerCamera: config.limits.viewers_per_camera }));
    const mjpeg = stack.use(new MjpegEndpoint({ ...watched, pictures, viewersPerCamera: config.limits.viewers_per_camera }));
    serveSnapshots({ router: http, authorizer, pictures, distribution });
    const viewers = (camera: CameraId) => ({
      webrtc: egress.viewers(camera), hls: hls.viewers(camera), websocket: sockets.viewers(camera), mjpeg: mjpeg.viewers(camera), 'websocket-frames': frames.viewers(camera),
      'webrtc-annotated': annotatedEgress.viewers(camera), 'hls-annotated': annotatedHls.viewers(camera),
    });
    const spool = await Spool.open({ directory: place.uploads, extension: '.mp4', copies: 2, maxBytes: config.recorder.upload_max_bytes, reserveBytes: Math.min(config.recorder.min_free_bytes, UPLOAD_RESERVE_BYTES), clock });
    new UploadEndpoint({ router: http, authorizer, cameras, spool, recordings: recorder, clock, logger });
    serveEdgeStats({ router: http, authorizer, registry, detections: extractors, viewers });
    const rtsp = stack.use(await RtspServer.start({ config: config.rtsp, bind: config.bind, streams: registry, authorizer, cameras, clock, logger }));
    const files = stack.use(new FileSources({
      streams: registry, directory: place.clips, clock, logger,
      onProblem: (camera, problem) => {
        cameraAlarm(camera, 'file_source', problem, `The file of camera ${camera} plays again.`);
      },
    }));
    stack.use(followDesiredState({ store, registry, files, recorder }));
    await http.listen(config.edge.http_port, bind);
    health.ports = { edge_http: http.port, rtsp: rtsp.port, webrtc: engine.port };

    link.start();
    logger.info(health, 'edge ready');
    parent?.send({ type: 'ready', ports: health.ports });
    await stopped;
    logger.info('edge stopping');
  } finally {
    finished.resolve(undefined);
  }
};
