/** The control process: REST, pages, log-in, index, front door; no media in its path. Run by the supervisor, or alone by `main.ts --role control`. */
import { create } from '@bufbuild/protobuf';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { paths } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { EdgeService } from '../control-api/edges/media-control-service.ts';
import { WorkerDirectory } from '../control-api/edges/worker-directory.ts';
import { ArchivedSegments, DatabaseEdgeDirectory, DirectoryModelCatalogue, createControlApi, httpMetrics } from '../control-api/control-api.ts';
import type { Probe } from '../control-api/control-api.ts';
import { systemClock } from '../core/clock.ts';
import { MediaError } from '../core/errors.ts';
import { workerMetrics } from '../inference/worker-metrics.ts';
import { listModels } from '../inference/model-list.ts';
import { probeModel } from '../inference/worker/probe-model.ts';
import { dialectOf } from '../platform/database/dialect.ts';
import { openDatabase } from '../platform/database/open.ts';
import { watchEventLoopDelay } from '../platform/event-loop-delay.ts';
import { GrpcClient } from '../platform/grpc/client.ts';
import { HealthService, ServingStatus } from '../platform/grpc/health.ts';
import { GrpcServer } from '../platform/grpc/server.ts';
import { createLogger } from '../platform/logging.ts';
import { openArchiveStore } from '../platform/object-store/open.ts';
import { createMetrics } from '../platform/metrics.ts';
import { exitWithParent } from '../platform/parent-process.ts';
import { yieldToMedia } from '../platform/process-priority.ts';
import { internalAddresses, internalToken } from '../platform/runtime-directory.ts';
import { HealthCheckRequestSchema } from '../proto/gen/grpc/health/v1/health_pb.ts';
import { InferenceService } from '../proto/gen/imageflow/v1/inference_pb.ts';
import { makeAnnotatedExport } from '../recorder/annotated-export.ts';
import { readChainFile } from '../recorder/integrity/chain-manifest.ts';
import { PlaybackPlanner } from '../recorder/playback-planner.ts';
import { RecordedPictureReader } from '../recorder/recorded-pictures.ts';
import { LocalSegments } from '../recorder/segment-file.ts';
import { RecordedDetection } from '../extractor/recorded-detection.ts';
import { SentPictureDetection } from '../extractor/sent-picture-detection.ts';
import { SegmentIndexCache } from '../recorder/segment-index.ts';
import { segmentPath } from '../recorder/segment-path.ts';
import { LocalSegmentReader } from '../recorder/segment-reader.ts';
import { Thumbnailer } from '../recorder/thumbnailer.ts';
import { lockData } from './data-lock.ts';
import { productVersion } from './product-version.ts';

const ROOT = join(import.meta.dirname, '..');
const PROBE_MS = 1000;
/** A database server that is not there is waited for so long; then the supervisor starts this process again. */
const DATABASE_MS = 60_000;

/** Serves until SIGTERM or its parent's end. Throws when the database cannot be opened or a port is taken. */
export const runControl = async (config: Config): Promise<void> => {
  yieldToMedia(); // a flood of requests is no reason to delay a packet
  const clock = systemClock;
  const logger = createLogger({ level: config.log.level, component: 'control' });
  const metrics = createMetrics('control');
  const stop = new AbortController();
  const stopped = new Promise<void>((resolve) => { stop.signal.addEventListener('abort', () => { resolve(); }, { once: true }); });
  const parent = exitWithParent();
  process.once('SIGTERM', () => { stop.abort(); });
  if (!parent) process.once('SIGINT', () => { stop.abort(); });

  const place = paths(config);
  const addresses = internalAddresses(config);
  mkdirSync(place.dataDir, { recursive: true });

  await using stack = new AsyncDisposableStack();
  stack.use(lockData(config, 'control'));
  stack.use(watchEventLoopDelay(metrics.eventLoopDelay, 'control', clock));
  const opened = await openDatabase(place.database, { logger, waitMs: DATABASE_MS, signal: stop.signal }).catch((error: unknown) => {
    if (stop.signal.aborted) return null; // told to stop while it waited
    throw error;
  });
  if (opened === null) return;
  const db = stack.adopt(opened, (database) => database.destroy());
  const worker = stack.use(GrpcClient.dial(HealthService, addresses.worker, { clock, ...internalToken(config, addresses.worker) }));
  const inference = stack.use(GrpcClient.dial(InferenceService, addresses.worker, { clock, ...internalToken(config, addresses.worker) }));
  const edges = new DatabaseEdgeDirectory(db, clock);
  const edgePorts = { edgeHttp: config.edge.http_port, rtsp: config.rtsp.port };
  const probes: Probe[] = [
    { name: 'edge', check: async () => {
      // Where several control processes share the database, the edge may be attached to another one.
      const base = service.attachedEdges > 0 || dialectOf(db).shared ? await edges.mediaBaseUrl('') : null;
      if (base === null) throw new MediaError('UNAVAILABLE', 'no edge is attached');
      const response = await fetch(`${base}/v1/health`, { signal: AbortSignal.timeout(PROBE_MS) });
      if (!response.ok) throw new MediaError('UNAVAILABLE', `the edge answered ${response.status}`);
    } },
    { name: 'worker', check: async () => {
      const { status } = await worker.call.check(create(HealthCheckRequestSchema, {}), { deadlineMs: PROBE_MS });
      if (status !== ServingStatus.SERVING) throw new MediaError('UNAVAILABLE', 'no model is warm yet');
    } },
  ];
  const archive = stack.use(await openArchiveStore(config.archive, place.dataDir, clock));
  const segments = new ArchivedSegments(new LocalSegments(place.recordings), archive);
  const indexes = new SegmentIndexCache(segments);
  const thumbnailer = stack.use(new Thumbnailer(clock, logger));
  const workers = stack.use(new WorkerDirectory({ fixed: [addresses.worker, ...config.inference.workers], logger }));
  const sentPictures = stack.use(new SentPictureDetection({
    workers: () => workers.addresses().map((address) => ({ address, ...internalToken(config, address) })), deadlineMs: config.inference.deadline_ms, logLevel: config.log.level, clock, logger,
  }));
  stack.use(workers.onChange(() => { sentPictures.workersChanged(); }));
  const bundledFolder = join(ROOT, 'models');
  const probe = probeModel({ bundledFolder, threads: 1, batchMax: 1, deadlineMs: config.inference.deadline_ms });
  const api = stack.use(await createControlApi({
    db, config, clock, logger, metrics, probes, edges, version: await productVersion(),
    chain: async () => (await readChainFile(place.recordings)) ?? null,
    segmentReader: new LocalSegmentReader(segments, logger, indexes, stack.use(new PlaybackPlanner(place.recordings, segments, clock))),
    pictures: new RecordedPictureReader({ files: segments, indexes, maker: thumbnailer, logger }),
    recordedDetection: () => new RecordedDetection({ worker: { address: addresses.worker, ...internalToken(config, addresses.worker) }, logLevel: config.log.level, clock, logger }),
    sentPictures,
    annotatedExporter: (work, signal) => makeAnnotatedExport(work, clock, logger, signal),
    archive,
    pathOfSegment: (id) => segmentPath(place.recordings, id),
    models: new DirectoryModelCatalogue([bundledFolder, place.models], clock),
    modelFiles: { bundledFolder, probe: async (path) => { await probe({ path }); } },
    workerModels: () => listModels(inference),
    metricsSources: [httpMetrics('edge', async () => { const base = await edges.mediaBaseUrl(''); return base === null ? null : `${base}/metrics`; }), { name: 'worker', read: (signal) => workerMetrics(inference, signal) }],
    pagesDir: join(ROOT, 'web', 'dist'),
    mediaPorts: () => edgePorts,
    otherPorts: () => ({ webrtc: config.webrtc.port }),
  }));
  const service = stack.use(new EdgeService({ db, desired: api.desiredState, workers, onDetections: (results) => { api.observe(results); }, onRules: (said) => { api.observeRules(said); }, clock, logger }));
  stack.use(await GrpcServer.start({ listen: addresses.control, ...internalToken(config, addresses.control), services: [service.registration, workers.registration], clock, onError: (error, method) => { logger.error({ err: error, method }, 'a gRPC handler failed'); } }));
  const admin = await api.ensureAdmin();
  if (admin.password !== undefined) {
    if (parent) parent.send({ type: 'admin', password: admin.password });
    else process.stdout.write(`log in as admin with the password ${admin.password} (shown this once)\n`);
  }
  const grpc = await api.listenGrpc();
  const port = await api.listen();
  logger.info({ port, grpc }, 'control ready');
  parent?.send({ type: 'ready', ports: { http: port, grpc } });
  await stopped;
  logger.info('control stopping');
};
