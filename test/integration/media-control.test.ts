import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { create } from '@bufbuild/protobuf';
import type { Kysely } from 'kysely';
import { Config } from '../../config/schema.ts';
import { AuditService } from '../../control-api/audit/service.ts';
import { AuthService } from '../../control-api/auth/service.ts';
import { CameraService, NewCamera } from '../../control-api/cameras/service.ts';
import { DesiredStateService } from '../../control-api/desired-state/service.ts';
import { EdgeService } from '../../control-api/edges/media-control-service.ts';
import { WorkerDirectory } from '../../control-api/edges/worker-directory.ts';
import { MarkService } from '../../control-api/marks/service.ts';
import { RetentionHoldService } from '../../control-api/retention-hold/service.ts';
import { systemClock } from '../../core/clock.ts';
import { Announcement } from '../../inference/worker/announcement.ts';
import { DesiredStateAuthorizer } from '../../media-control/authorizer.ts';
import { DesiredStateCameraResolver } from '../../media-control/camera-resolver.ts';
import { ControlLink } from '../../media-control/control-link.ts';
import { DesiredStateStore } from '../../media-control/desired-state-store.ts';
import { FileEventJournal } from '../../media-control/journal/event-journal.ts';
import { detectionsEvent, segmentEvent, segmentOf, sessionEvent } from '../../media-control/testing-events.ts';
import { openDatabase } from '../../platform/database/open.ts';
import type { Database } from '../../platform/database/schema.ts';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { fromGrpc } from '../../platform/grpc/errors.ts';
import { GrpcServer } from '../../platform/grpc/server.ts';
import { silentLogger } from '../../platform/logging.ts';
import { AttachRequestSchema, EdgeLinkService } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import { AnnounceRequestSchema, WorkerDirectoryService } from '../../proto/gen/imageflow/v1/worker_directory_pb.ts';
import type { AttachResponse } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import type { SegmentRecord } from '../../recorder/port.ts';

const clock = systemClock;
const logger = silentLogger();
let folder: string;
let stack: AsyncDisposableStack;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'if-mc-')); stack = new AsyncDisposableStack(); });
afterEach(async () => { await stack.disposeAsync(); rmSync(folder, { recursive: true, force: true }); });
const listen = (): string => `unix:${join(folder, 'c.sock')}`;
const until = async (condition: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> => {
  for (const end = Date.now() + withinMs; !(await condition());) {
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

interface Control extends AsyncDisposable {
  readonly db: Kysely<Database>;
  readonly cameras: CameraService;
  readonly service: EdgeService;
  readonly workers: WorkerDirectory;
}
const startControl = async (database = 'control.db'): Promise<Control> => {
  const own = new AsyncDisposableStack();
  const config = Config.parse({ data_dir: folder });
  const db = own.adopt(await openDatabase(join(folder, database)), (open) => open.destroy());
  const audit = own.use(new AuditService(db, clock, logger));
  const auth = new AuthService({ db, clock, audit });
  await auth.load();
  const cameras = new CameraService({ db, clock, config, models: { names: () => Promise.resolve([]), forget: () => undefined }, workerModels: () => Promise.resolve([]) });
  const desired = own.use(new DesiredStateService({ cameras, auth, audit, marks: new MarkService(db, clock), holds: new RetentionHoldService(db), config, clock, logger }));
  await desired.start();
  const workers = own.use(new WorkerDirectory({ fixed: ['unix:/worker'], logger }));
  const service = new EdgeService({ db, desired, workers, clock, logger });
  own.use(await GrpcServer.start({ listen: listen(), services: [service.registration, workers.registration], graceMs: 100 }));
  own.use(service);
  return stack.use({ db, cameras, service, workers, [Symbol.asyncDispose]: () => own.disposeAsync() });
};

interface Edge extends AsyncDisposable {
  readonly journal: FileEventJournal;
  readonly store: DesiredStateStore;
  readonly authorizer: DesiredStateAuthorizer;
  readonly resolver: DesiredStateCameraResolver;
  readonly link: ControlLink;
}
const startEdge = (inventory: () => Iterable<SegmentRecord> = () => []): Edge => {
  const own = new AsyncDisposableStack();
  const journal = own.use(new FileEventJournal({ directory: join(folder, 'journal'), maxBytes: 1 << 24, keepHours: 24, clock, logger }));
  const store = own.use(new DesiredStateStore({ path: join(folder, 'state.bin'), clock, logger }));
  const authorizer = own.use(new DesiredStateAuthorizer({ source: store, clock }));
  const client = own.use(GrpcClient.dial(EdgeLinkService, listen()));
  const link = own.use(new ControlLink({ client, edgeId: 'edge-1', mediaBaseUrl: () => 'http://127.0.0.1:8081', journal, store, inventory, clock, logger }));
  link.start();
  return stack.use({ journal, store, authorizer, link, resolver: new DesiredStateCameraResolver({ store, client }), [Symbol.asyncDispose]: () => own.disposeAsync() });
};
const count = async (db: Kysely<Database>, table: 'segments' | 'sessions' | 'detections' | 'alarms'): Promise<number> =>
  (await db.selectFrom(table).select((e) => e.fn.countAll<number>().as('n')).executeTakeFirstOrThrow()).n;

test('events become rows, and the edge is known', async () => {
  const control = await startControl();
  const edge = startEdge();
  edge.journal.append(sessionEvent(1));
  edge.journal.append(sessionEvent(1, { phase: 'ended', endedAt: 1_750_000_000_500.5, reason: 'it left' }));
  edge.journal.append(segmentEvent(1, { open: true, sha256: null, bytes: 5, duration: 200 }));
  edge.journal.append(segmentEvent(1));
  edge.journal.append(segmentEvent(2, { gapBefore: 125.5, gapCause: 'network_loss' }));
  edge.journal.append({ type: 'segment-expired', id: segmentOf(2).id, camera: 'line-1' });
  edge.journal.append({ type: 'alarm', alarm: { id: 'a', camera: 'line-1', code: 'C', message: 'm', raised: true, at: 5 } });
  edge.journal.append(detectionsEvent(7, 3));
  await until(async () => (await count(control.db, 'detections')) === 3);
  await until(() => edge.journal.delivered);
  expect(await control.db.selectFrom('sessions').selectAll().execute()).toEqual([
    { id: 'session-1', camera_id: 'line-1', phase: 'ended', protocol: 'rtsp', started_at: 1_750_000_000_001, ended_at: 1_750_000_000_500.5, reason: 'it left', epoch: 1_750_000_000_000 },
  ]);
  const [first, second] = await control.db.selectFrom('segments').selectAll().orderBy('start_ms').execute();
  expect(first).toEqual({
    id: segmentOf(1).id, camera_id: 'line-1', session_id: 'session-1', epoch: 1_750_000_000_000, start_ms: 1_750_000_010_000.5, end_ms: 1_750_000_020_000.5, bytes: 1001,
    sha256: 'ab'.repeat(32), open: 0, tracks: JSON.stringify(segmentOf(1).tracks), gap_before: null, gap_cause: null, expired_at: null, prev_sha256: null, local: 1, archived_at: null, unmarked_at: null,
  });
  expect([second?.gap_before, second?.gap_cause]).toEqual([125.5, 'network_loss']);
  expect(second?.expired_at).not.toBeNull();
  expect(await control.db.selectFrom('alarms').selectAll().execute()).toEqual([{ id: 'a', camera_id: 'line-1', code: 'C', message: 'm', raised: 1, at: 5 }]);
  expect(await control.db.selectFrom('detections').selectAll().limit(1).execute()).toMatchObject([
    { camera_id: 'line-1', stream_epoch: 1_750_000_000_000, rtp_timestamp: 7, captured_at_ms: 1_750_000_000_466.9, sequence: 7, class_name: 'n7', class_id: 0, confidence: 0.5, x: 1, y: 2, width: 3, height: 4, track_id: null, model: 'm', model_digest: 'd', analysis_id: null },
  ]);
  expect(await control.db.selectFrom('edges').selectAll().execute()).toMatchObject([{ edge_id: 'edge-1', journal_id: edge.journal.journalId, media_base_url: 'http://127.0.0.1:8081', last_seq: edge.journal.newestSeq }]);
  expect(edge.store.workerAddresses).toEqual(['unix:/worker']);
});

test('[INF-1] a worker that announces itself is told to the edge, until it leaves; one that is announced twice stays until it has left twice', async () => {
  await startControl();
  const edge = startEdge();
  const announce = (address: string): Announcement => stack.use(new Announcement({ control: listen(), address, clock, logger }));
  await until(() => edge.store.workerAddresses.length === 1);
  const second = announce('gpu-2:7001');
  const first = announce('gpu-1:7001');
  await until(() => edge.store.workerAddresses.length === 3);
  expect(edge.store.workerAddresses).toEqual(['unix:/worker', 'gpu-1:7001', 'gpu-2:7001']);
  const again = announce('gpu-1:7001');
  const other = announce('gpu-3:7001');
  await until(() => edge.store.workerAddresses.includes('gpu-3:7001'));
  other[Symbol.dispose]();
  first[Symbol.dispose]();
  await until(() => !edge.store.workerAddresses.includes('gpu-3:7001'));
  expect(edge.store.workerAddresses).toEqual(['unix:/worker', 'gpu-1:7001', 'gpu-2:7001']);
  again[Symbol.dispose]();
  second[Symbol.dispose]();
  await until(() => edge.store.workerAddresses.length === 1);
});

test('[INF-1] a worker announces itself again to a control process that was started again; what is no address is refused', async () => {
  const control = await startControl();
  stack.use(new Announcement({ control: listen(), address: 'gpu-1:7001', clock, logger }));
  const edge = startEdge();
  await until(() => edge.store.workerAddresses.includes('gpu-1:7001'));
  await control[Symbol.asyncDispose]();
  const next = await startControl();
  expect(next.workers.addresses()).toEqual(['unix:/worker']);
  await until(() => next.workers.addresses().includes('gpu-1:7001'));
  using client = GrpcClient.dial(WorkerDirectoryService, listen());
  for (const address of ['', 'gpu-1', '0.0.0.0:7001', 'unix:/w', 'x'.repeat(10_000)]) {
    const refused = Promise.withResolvers<Error>();
    client.call.announce(create(AnnounceRequestSchema, { address })).on('error', refused.resolve).on('data', () => { refused.reject(new Error(`listed: ${address}`)); });
    expect(fromGrpc(await refused.promise)).toMatchObject({ code: 'INVALID_ARGUMENT' });
  }
});

test('[D-9] who changes a camera is answered when the attached edge acts on it; one that hangs holds nobody up', async () => {
  const control = await startControl();
  const edge = startEdge();
  await until(() => edge.store.version !== '');
  for (let i = 0; i < 20; i++) {
    const { secret } = await control.cameras.create(NewCamera.parse({ id: `line-${i}` }));
    expect(edge.store.camera(`line-${i}`)).toBeDefined();
    await edge.authorizer.authorize(secret, 'publish', `line-${i}`);
  }
  await control.cameras.remove('line-3');
  expect(edge.store.camera('line-3')).toBeUndefined();

  // It says once that it has taken the state, and then nothing any more.
  using client = GrpcClient.dial(EdgeLinkService, listen());
  const hangs = client.call.attach();
  hangs.on('error', () => undefined);
  const states: string[] = [];
  hangs.on('data', ({ message }: AttachResponse) => {
    if (message.case !== 'state') return;
    states.push(message.value.version);
    if (states.length === 1) hangs.write(create(AttachRequestSchema, { message: { case: 'taken', value: { version: message.value.version } } }));
  });
  hangs.write(create(AttachRequestSchema, { message: { case: 'hello', value: { edgeId: 'edge-2', journalId: 'another' } } }));
  hangs.write(create(AttachRequestSchema, { message: { case: 'inventory', value: { complete: true } } }));
  await until(() => states.length === 1);
  await new Promise((resolve) => { setTimeout(resolve, 100); });
  await control.cameras.create(NewCamera.parse({ id: 'next' }));
  expect(edge.store.camera('next')).toBeDefined();
  await until(() => states.length === 2);
  hangs.cancel();
});

test('a revoked key is known to the edge within 1 s, and who uses it is told', async () => {
  const control = await startControl();
  const { secret } = await control.cameras.create(NewCamera.parse({ id: 'line-1' }));
  const edge = startEdge();
  await until(() => edge.store.camera('line-1') !== undefined);
  const principal = await edge.authorizer.authorize(secret, 'publish', 'line-1');
  const told = Promise.withResolvers<string>();
  edge.authorizer.onRevoked(told.resolve);
  const [key] = await control.cameras.keys('line-1', undefined, 1);
  const before = Date.now();
  await control.cameras.revokeKey('line-1', key?.id ?? '');
  expect(await told.promise).toBe(principal.kind === 'key' ? principal.id : '');
  expect(Date.now() - before).toBeLessThan(1000);
  await expect(edge.authorizer.authorize(secret, 'publish', 'line-1')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});

test('[D-9] with control down the edge starts from what it knew, and its events wait', async () => {
  const first = await startControl();
  const { secret } = await first.cameras.create(NewCamera.parse({ id: 'line-1', name: 'Line 1' }));
  const before = startEdge();
  await until(() => before.store.camera('line-1') !== undefined);
  await before[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();

  const edge = startEdge();
  expect(edge.store.camera('line-1')).toMatchObject({ name: 'Line 1', detectors: [{ id: 'detect', fps: 15 }] });
  expect(await edge.authorizer.authorize(secret, 'publish', 'line-1')).toMatchObject({ camera: 'line-1' });
  edge.journal.append(sessionEvent(1));
  await expect(edge.resolver.resolve('line-9', 'token')).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'CONTROL_DOWN', retryAfterSeconds: 2 });
  expect(await edge.resolver.resolve('line-1', secret)).toMatchObject({ id: 'line-1' });

  const again = await startControl();
  await until(async () => (await count(again.db, 'sessions')) === 1);
});

test('[D-12] a camera that is not known is asked for, and not made for a stranger', async () => {
  await startControl();
  const edge = startEdge();
  await until(() => edge.link.attached);
  expect(await edge.resolver.resolve('line-9', 'no token')).toBeUndefined();
  expect(await edge.resolver.resolve('line-9', null)).toBeUndefined();
  expect(await edge.resolver.resolve('../etc', 'x')).toBeUndefined();
});

test('the database deleted: recordings, cameras and their keys come back, and the edge never loses its cameras', async () => {
  const first = await startControl('one.db');
  const { secret } = await first.cameras.create(NewCamera.parse({ id: 'line-1', name: 'Line 1', recording: { policy: 'off' }, pipelines: [{ id: 'detect', fps: 5 }] }));
  const segments = Array.from({ length: 1203 }, (_, n) => segmentOf(n));
  const edge = startEdge(() => segments);
  await until(() => edge.store.camera('line-1') !== undefined);
  edge.journal.append(sessionEvent(1));
  await until(() => edge.journal.delivered);
  let camerasLost = 0;
  edge.store.onChange(() => { if (edge.store.camera('line-1') === undefined) camerasLost += 1; });
  await first[Symbol.asyncDispose]();

  const second = await startControl('two.db');
  await until(async () => (await count(second.db, 'sessions')) === 1);
  expect(await count(second.db, 'segments')).toBe(1203);
  const row = await second.cameras.get('line-1');
  expect(row).toMatchObject({ name: 'Line 1', recording: '{"policy":"off"}' });
  expect(JSON.parse(row.pipelines)).toEqual([{ id: 'detect', fps: 5 }]);
  await until(() => edge.store.version !== '' && edge.link.attached);
  expect(await edge.authorizer.authorize(secret, 'publish', 'line-1')).toMatchObject({ camera: 'line-1' });
  expect(camerasLost).toBe(0);
});

test('a database put back to an older state gets the events it lacks, once', async () => {
  const control = await startControl();
  const edge = startEdge();
  for (let n = 1; n <= 50; n++) edge.journal.append(detectionsEvent(n));
  await until(() => edge.journal.newestSeq === 50 && edge.journal.delivered);
  await control.db.deleteFrom('detections').where('sequence', '>', 20).execute();
  await control.db.updateTable('edges').set({ last_seq: 20 }).execute();
  await control[Symbol.asyncDispose]();
  const again = await startControl();
  await until(async () => (await count(again.db, 'detections')) === 50);
  await until(() => edge.journal.delivered);
  expect((await again.db.selectFrom('detections').select('sequence').orderBy('id').execute()).map((row) => row.sequence)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
});

test('an event that fits no table is left out with an alarm, and those behind it are written', async () => {
  const control = await startControl();
  const edge = startEdge();
  edge.journal.append(sessionEvent(1, { startedAt: Number.NaN }));
  edge.journal.append(sessionEvent(2));
  await until(async () => (await count(control.db, 'sessions')) === 1);
  expect(await control.db.selectFrom('alarms').select('code').execute()).toEqual([{ code: 'event_refused' }]);
});

test('a new edge process ends the sessions and the alarms of a state that the killed one left; what happened stays told', async () => {
  const control = await startControl();
  const edge = startEdge();
  const alarm = (code: string) => ({ type: 'alarm', alarm: { id: code, camera: 'line-1', code, message: 'm', raised: true, at: 1_000 } }) as const;
  edge.journal.append(sessionEvent(1, { startedAt: 1_000 }));
  edge.journal.append(alarm('keyframes_overdue'));
  edge.journal.append(alarm('recording_damaged'));
  edge.journal.append({ type: 'edge-started', at: 2_000 });
  edge.journal.append(sessionEvent(2, { startedAt: 3_000 }));
  await until(async () => (await count(control.db, 'sessions')) === 2);
  expect(await control.db.selectFrom('sessions').select(['phase', 'ended_at', 'reason']).orderBy('started_at').execute()).toEqual([
    { phase: 'ended', ended_at: 2_000, reason: 'the edge was restarted' }, { phase: 'live', ended_at: null, reason: null },
  ]);
  expect(await control.db.selectFrom('alarms').select('code').where('raised', '=', 1).execute()).toEqual([{ code: 'recording_damaged' }]);
});

test('a stream that begins without hello is refused, and control goes on', async () => {
  const control = await startControl();
  using client = GrpcClient.dial(EdgeLinkService, listen());
  const call = client.call.attach();
  const failed = new Promise<Error>((resolve) => { call.on('error', resolve); });
  call.on('data', () => undefined);
  call.write(create(AttachRequestSchema, { message: { case: 'batch', value: { events: [] } } }));
  expect((await failed).message).toContain('hello comes first');
  const edge = startEdge();
  await until(() => edge.link.attached);
  expect(control.service.attachedEdges).toBe(1);
});
