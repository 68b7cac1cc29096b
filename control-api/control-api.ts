/** The control process's HTTP side, put together: REST, pages and front door over one database. */
import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import { paths } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import { listenerUrl } from '../core/listener-url.ts';
import type { Milliseconds } from '../core/units.ts';
import { dialectOf } from '../platform/database/dialect.ts';
import type { Database } from '../platform/database/schema.ts';
import type { Logger } from '../platform/logging.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { ObjectStore } from '../platform/object-store/object-store.ts';
import { SigningKey } from '../platform/signing-key.ts';
import type { SentPictureDetector } from '../extractor/port.ts';
import type { ModelInfo } from '../inference/port.ts';
import type { AnnotatedExporter, RecordedPictures, SegmentReader } from '../recorder/port.ts';
import { createApp } from './app.ts';
import { auditRoutes } from './audit/routes.ts';
import { analysisRoutes } from './analyses/routes.ts';
import { AnalysisService } from './analyses/service.ts';
import type { RoundRunner } from './analyses/service.ts';
import { alarmRoutes } from './alarms/routes.ts';
import { AlarmService } from './alarms/service.ts';
import { AlarmStore } from './alarms/store.ts';
import { archiveRoutes } from './archive/routes.ts';
import { ArchiveService } from './archive/service.ts';
import { AuditService } from './audit/service.ts';
import type { AttemptLimits } from './auth/attempts.ts';
import { authRoutes, jwksRoutes } from './auth/routes.ts';
import { AuthService } from './auth/service.ts';
import type { Passwords } from './auth/service.ts';
import { EdgeStatsClient } from './cameras/edge-stats.ts';
import { cameraKeyRoutes } from './cameras/key-routes.ts';
import { distributionSwitchRoutes } from './cameras/distribution-routes.ts';
import { cameraQosRoutes } from './cameras/qos-routes.ts';
import { recordingSwitchRoutes } from './cameras/recording-routes.ts';
import { cameraRoutes } from './cameras/routes.ts';
import { CameraService, lightOfDefault } from './cameras/service.ts';
import type { MediaPorts } from './cameras/urls.ts';
import { createCors } from './cors.ts';
import { DesiredStateService } from './desired-state/service.ts';
import type { DesiredStateSource } from './desired-state/state.ts';
import { detectionRoutes } from './detections/routes.ts';
import { DetectionService } from './detections/service.ts';
import { timelineRoutes } from './detections/timeline-routes.ts';
import { DatabaseEdgeDirectory } from './edge-directory.ts';
import type { EdgeDirectory } from './edge-directory.ts';
import { EventClips } from './event-clips/service.ts';
import type { SaidByRule, SeenPicture } from './event-clips/service.ts';
import { exportRoutes } from './exports/routes.ts';
import { ExportService } from './exports/service.ts';
import { frameRoutes } from './frames/routes.ts';
import { FrameArchive } from './frames/service.ts';
import { eventRoutes } from './events/routes.ts';
import { EventService } from './events/service.ts';
import { FrontDoor } from './front-door/front-door.ts';
import { UploadMarks } from './front-door/upload-marks.ts';
import { startPublicGrpc } from './grpc/public-grpc.ts';
import { createGuard } from './guard.ts';
import { MetricsService } from './health/metrics.ts';
import type { MetricsSource } from './health/metrics.ts';
import { healthRoutes } from './health/routes.ts';
import { HealthService } from './health/service.ts';
import type { Probe } from './health/service.ts';
import { markRoutes } from './marks/routes.ts';
import { MarkService } from './marks/service.ts';
import type { ModelCatalogue } from './models.ts';
import { modelLibraryRoutes } from './models/library-routes.ts';
import { ModelLibrary } from './models/model-library.ts';
import type { ModelLibraryOptions } from './models/model-library.ts';
import { modelRoutes } from './models/routes.ts';
import { modelTrialRoutes } from './models/trial-routes.ts';
import { ModelTrials } from './models/trials.ts';
import { StaticPages } from './pages/static-pages.ts';
import { evidenceRoutes } from './recordings/evidence-routes.ts';
import { pictureRoutes } from './recordings/picture-routes.ts';
import { RecordingMentions } from './recordings/mention.ts';
import { playbackRoutes } from './recordings/playback-routes.ts';
import { recordingRoutes } from './recordings/routes.ts';
import { RecordingService } from './recordings/service.ts';
import { retentionHoldRoutes } from './retention-hold/routes.ts';
import { RetentionHoldService } from './retention-hold/service.ts';
import { KEEP, RetentionSweep, SWEEP_ROWS, deleting } from './retention.ts';
import { ApiServer } from './server.ts';
import { SocketService } from './sockets/service.ts';
import { userRoutes } from './users/routes.ts';
import { UserService } from './users/service.ts';
import { Webhooks } from './webhooks/service.ts';

export { ArchivedSegments } from './archive/archived-segments.ts';
export { httpMetrics } from './health/metrics.ts';
export type { MetricsSource } from './health/metrics.ts';
export type { Probe } from './health/service.ts';
export { DirectoryModelCatalogue } from './models.ts';
export type { ModelCatalogue } from './models.ts';
export { DatabaseEdgeDirectory } from './edge-directory.ts';
export type { EdgeDirectory } from './edge-directory.ts';
export type { DesiredStateSource } from './desired-state/state.ts';

/** What another control process took away is to end at the edges of this one within a second (ING-6). */
const SHARED_REREAD_MS: Milliseconds = 500;

/** So much of the disk a model leaves free: what recorders do without is theirs to say. */
const MODEL_RESERVE_BYTES = 64 << 20;

export interface ControlApiOptions {
  readonly db: Kysely<Database>;
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly segmentReader: SegmentReader;
  readonly pictures: RecordedPictures;
  /** Where marked recordings go; the caller disposes it. */
  readonly archive: ObjectStore;
  /** Where a recorded segment's file lies on this machine. */
  readonly pathOfSegment: (id: string) => string;
  readonly models: ModelCatalogue;
  /** What is beside `inference.models_dir`: the product's own models, and what tries a file in a process of its own, rejecting with why it cannot be used. */
  readonly modelFiles: Pick<ModelLibraryOptions, 'bundledFolder' | 'probe'>;
  /** The worker's models, also those that cannot be used; rejects with UNAVAILABLE while there is no worker. */
  readonly workerModels: () => Promise<readonly ModelInfo[]>;
  /** Runs detectors on recordings, one for each job. */
  readonly recordedDetection: () => RoundRunner;
  /** Shows pictures that clients send to the workers' models; the caller disposes it. */
  readonly sentPictures: SentPictureDetector;
  /** Makes files of recordings with boxes drawn in. */
  readonly annotatedExporter: AnnotatedExporter;
  /** What must have answered once before the server is ready, beside the database: `edge`, `worker`, … */
  readonly probes: readonly Probe[];
  /** The other processes' metrics, for `/metrics`. */
  readonly metricsSources?: readonly MetricsSource[];
  /** Folder of the built web pages; null: none. */
  readonly pagesDir: string | null;
  readonly version: string;
  /** Ports of the edge as they are, for URLs; by default the configured ones. */
  readonly mediaPorts?: () => MediaPorts;
  /** Further ports for `GET /v1/health`, e.g. `{webrtc}`. */
  readonly otherPorts?: () => Readonly<Record<string, number>>;
  /** Which edge owns a camera; by default the last one that attached. */
  readonly edges?: EdgeDirectory;
  /** The edge's signed manifest of its recordings, for exports; null: there is none. */
  readonly chain?: () => Promise<string | null>;
  readonly passwords?: Passwords;
  readonly loginAttempts?: AttemptLimits;
}

export interface ControlApi extends AsyncDisposable {
  readonly desiredState: DesiredStateSource;
  /** Detections that have come to the database: some are events. */
  observe(pictures: readonly SeenPicture[]): void;
  /** What rules said that has come to the database: some of it becomes clips. */
  observeRules(said: readonly SaidByRule[]): void;
  /** The port of HTTP; 0 before `listen`. */
  readonly port: number;
  /** At the first start: makes `admin`. A `password` is to be printed, once. */
  ensureAdmin(): Promise<{ readonly created: boolean; readonly password?: string }>;
  /** Listens at `http.bind` (or `bind`) and `http.port`. Rejects when the port is taken. */
  listen(): Promise<number>;
  /** Public gRPC at `grpc.bind` (or `bind`) and `grpc.port`; once. Resolves with the port. Rejects when the port is taken. */
  listenGrpc(): Promise<number>;
}

/** Reads keys and desired state from the database; then everything but listening is done. */
export const createControlApi = async (options: ControlApiOptions): Promise<ControlApi> => {
  const { db, config, clock, logger, metrics } = options;
  await using stack = new AsyncDisposableStack();
  const audit = stack.use(new AuditService(db, clock, logger));
  const auth = new AuthService({
    db, clock, audit,
    ...(options.passwords === undefined ? {} : { passwords: options.passwords }),
    ...(options.loginAttempts === undefined ? {} : { attempts: options.loginAttempts }),
  });
  const users = new UserService(db, auth, clock);
  const cameras = new CameraService({ db, clock, config, models: options.models, workerModels: options.workerModels });
  const marks = new MarkService(db, clock);
  const holds = new RetentionHoldService(db);
  const desiredState = stack.use(new DesiredStateService({ cameras, auth, audit, marks, holds, config, clock, logger, ...(dialectOf(db).shared ? { rereadMs: SHARED_REREAD_MS } : {}) }));
  await desiredState.start();
  const clips = stack.use(new EventClips({ db, cameras, marks, desired: desiredState, clock, logger }));
  await clips.start();
  const alarms = new AlarmService({ store: new AlarmStore(db), clock, metrics, logger });
  const edges = options.edges ?? new DatabaseEdgeDirectory(db, clock);
  const detections = stack.use(new DetectionService({ db, clock, logger, retentionHours: config.detections.retention_hours }));
  detections.start();
  const events = stack.use(new EventService({ db, clock, logger, metrics, retentionHours: config.events.retention_hours }));
  const webhooks = stack.use(new Webhooks({ db, events, alarms, webhooks: config.events.webhooks, clock, logger, metrics }));
  webhooks.start();
  const recordings = new RecordingService({ db, reader: options.segmentReader, pictures: options.pictures, marks, clock });
  const analyses = stack.use(new AnalysisService({ db, recordings, models: options.models, marks, events, config, clock, logger, metrics, runner: options.recordedDetection }));
  analyses.start();
  const exports = stack.use(new ExportService({
    db, recordings, detections, analyses, exporter: options.annotatedExporter, folder: paths(config).exports, minFreeBytes: config.recorder.min_free_bytes, clock, logger,
  }));
  exports.start();
  const archive = stack.use(new ArchiveService({ db, objects: options.archive, pathOf: options.pathOfSegment, config: config.archive, alarms, clock, logger, metrics }));
  archive.start();
  const frames = stack.use(new FrameArchive({
    db, cameras, desired: desiredState, recordings, detections, events, objects: options.archive, directory: paths(config).frames, keepMs: config.archive.frames_keep_days * 86_400_000, legalHold: config.archive.legal_hold, clock, logger, metrics,
  }));
  await frames.start();
  stack.use(new RetentionSweep({
    clock, logger,
    tasks: [
      deleting('expired segments', (now, limit) => recordings.deleteExpired(now - KEEP.expiredSegmentsMs, limit)),
      { name: 'ended sessions', step: (now, from) => cameras.deleteEndedSessions(now - KEEP.endedSessionsMs, from, SWEEP_ROWS) },
      deleting('past events', (now, limit) => events.deletePast(now, limit)),
      deleting('cleared alarms', (now, limit) => alarms.deleteCleared(now - KEEP.clearedAlarmsMs, limit)),
      deleting('past alarms', (now, limit) => alarms.deletePast(now - KEEP.pastAlarmsMs, KEEP.pastAlarms, limit)),
      { name: 'ended analyses', step: (now, from) => analyses.deleteEnded(now - KEEP.endedAnalysesMs, from, SWEEP_ROWS) },
      deleting('ended exports', (now, limit) => exports.deleteEnded(now - KEEP.endedExportsMs, limit)),
      { name: 'files of no export', step: async () => { await exports.deleteStrays(); return undefined; } },
      deleting('audit', (now, limit) => audit.deleteBefore(now - KEEP.auditMs, limit)),
      deleting('audit beyond its rows', (_now, limit) => audit.deleteExcess(limit)),
      { name: 'archived segments no mark wants', step: async (now, from) => { const next = await archive.deleteUnmarked(from?.[1] ?? ''); return next === undefined ? undefined : [now, next]; } },
      { name: 'archived pictures', step: (now, from) => frames.deletePast(now, from) },
      { name: 'broken-off uploads', step: async () => { await archive.abortStale(); return undefined; } },
      { name: 'expired tokens', step: async () => { await auth.deleteExpired(); return undefined; } },
    ],
  })).start();

  let port = 0;
  let grpcPort = config.grpc.port;
  const mediaPorts = options.mediaPorts ?? (() => ({ edgeHttp: config.edge.http_port, rtsp: config.rtsp.port }));
  const ports = () => ({ http: port, edge_http: mediaPorts().edgeHttp, rtsp: mediaPorts().rtsp, grpc: grpcPort, ...options.otherPorts?.() });
  const urls = () => ({
    http: config.public_url ?? listenerUrl('http', config.http.bind ?? config.bind, port),
    edge: listenerUrl('http', config.edge.bind ?? config.bind, mediaPorts().edgeHttp),
    rtsp: listenerUrl('rtsp', config.rtsp.bind ?? config.bind, mediaPorts().rtsp),
    grpc: listenerUrl('grpc', config.grpc.bind ?? config.bind, grpcPort),
  });
  const database: Probe = { name: 'database', check: async () => { await sql`select 1`.execute(db); } };
  const health = healthRoutes({
    health: new HealthService([database, ...options.probes], clock, logger),
    metrics: new MetricsService({ registry: metrics.registry, sources: options.metricsSources ?? [], clock, logger }),
    clock, version: options.version, ports, urls,
  });
  const guard = createGuard(auth, audit);
  const library = new ModelLibrary({
    ...options.modelFiles, folder: paths(config).models, maxBytes: config.inference.max_model_bytes, reserveBytes: Math.min(config.recorder.min_free_bytes, MODEL_RESERVE_BYTES),
    onChange: () => { options.models.forget(); }, clock, logger,
  });
  await library.start();
  const mentions = new RecordingMentions({ events, marks, now: () => clock.now() });
  const stats = new EdgeStatsClient(edges, clock);
  const jwksPath = '/.well-known/jwks.json';
  const app = createApp({
    clock, logger, metrics, version: options.version,
    pages: options.pagesDir === null ? null : new StaticPages(options.pagesDir),
    resources: [
      health, authRoutes(auth, guard), jwksRoutes(auth, [jwksPath, `/auth${jwksPath}`]), userRoutes(users, audit, guard), auditRoutes(audit, guard),
      cameraRoutes({ cameras, stats, audit, guard, clock, config, ports: mediaPorts }),
      cameraQosRoutes({ cameras, stats, audit, guard }),
      cameraKeyRoutes({ cameras, stats, audit, guard }),
      recordingSwitchRoutes({ cameras, audit, guard }),
      distributionSwitchRoutes({ cameras, audit, guard }),
      recordingRoutes({ recordings, mentions, guard, clock }),
      evidenceRoutes({ recordings, detections, audit, guard, clock, logger, key: await SigningKey.open(paths(config).signingKey), chain: options.chain ?? (() => Promise.resolve(null)), version: options.version }),
      playbackRoutes({ recordings, detections, mentions, guard, logger }),
      pictureRoutes(recordings, guard),
      markRoutes(marks, audit, guard),
      retentionHoldRoutes(holds, audit, guard),
      analysisRoutes(analyses, audit, guard),
      frameRoutes({ frames, audit, guard, clock }),
      exportRoutes({ exports, audit, guard, logger }),
      detectionRoutes(detections, guard),
      timelineRoutes(detections, guard),
      eventRoutes(events, guard),
      alarmRoutes(alarms, guard),
      modelRoutes({ list: options.workerModels, library, ofDefault: { model: config.inference.default_model, light: lightOfDefault(config.inference) }, maxBytes: config.inference.max_model_bytes, guard }),
      modelLibraryRoutes({ library, cameras, inference: config.inference, audit, guard }),
      modelTrialRoutes(new ModelTrials({ detector: options.sentPictures, clock }), guard),
      archiveRoutes(archive, guard),
    ],
    rootResources: [health, jwksRoutes(auth, [jwksPath])],
  });
  const frontDoor = stack.use(
    new FrontDoor({ edges, clock, uploadMarks: new UploadMarks({ marks, auth, audit }), behindProxy: config.public_url !== undefined, resolveCamera: (credential, camera) => desiredState.resolveCamera(credential, camera) }),
  );
  const sockets = new SocketService({ guard, events, revocations: [auth, desiredState], messagesPerMinute: config.limits.websocket_messages_per_minute, clock, logger, metrics });
  const server = stack.use(new ApiServer({ app, frontDoor, sockets, cors: createCors(config.cors.origins), clock, logger, metrics }));

  stack.use(sockets); // closed before the server is, which would cut them off

  const owned = stack.move();
  const listenGrpc = async (): Promise<number> => (grpcPort = owned.use(await startPublicGrpc({ cameras, audit, guard, sentPictures: options.sentPictures, metrics, config, clock, logger })).port);
  return {
    desiredState,
    observe: (pictures) => {
      clips.observe(pictures);
      frames.observe(pictures);
    },
    observeRules: (said) => { clips.observeRules(said); },
    get port() { return port; },
    ensureAdmin: () => users.ensureAdmin(config.admin.password),
    listen: async () => (port = await server.listen(config.http.port, config.http.bind ?? config.bind)),
    listenGrpc,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
};
