/** The public gRPC port of a whole server: who may do what, what becomes of it, and what strangers cannot harm. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { create, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, anyUnpack } from '@bufbuild/protobuf/wkt';
import { Client, Metadata, credentials, status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { HealthService, ServingStatus } from '../../platform/grpc/health.ts';
import { BadRequestSchema, RetryInfoSchema } from '../../proto/gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../proto/gen/google/rpc/status_pb.ts';
import { HealthCheckRequestSchema } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { ServerReflection, ServerReflectionRequestSchema } from '../../proto/gen/grpc/reflection/v1/reflection_pb.ts';
import type { ServerReflectionRequest, ServerReflectionResponse } from '../../proto/gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as AlphaReflection, ServerReflectionRequestSchema as AlphaRequestSchema } from '../../proto/gen/grpc/reflection/v1alpha/reflection_pb.ts';
import type { ServerReflectionResponse as AlphaResponse } from '../../proto/gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { ErrorDetailsSchema } from '../../proto/gen/imageflow/v1/error_details_pb.ts';
import {
  MediaControlService, RecordingPolicy, RecordingSwitch, SetQualityRequestSchema, StartDistributionRequestSchema, StartRecordingRequestSchema, StopRecordingRequestSchema,
} from '../../proto/gen/imageflow/v1/media_control_service_pb.ts';
import { forgedTokens } from '../support/forged-tokens.ts';
import { bytes } from '../support/hostile-input.ts';
import { clip, ffmpegPush } from '../support/media.ts';
import { seededRandom } from '../support/random.ts';
import { segmentsOf } from '../support/recordings.ts';
import { TestServer, until } from '../support/server.ts';

const CALL = { deadlineMs: 20_000 };
const SERVICE = 'imageflow.v1.MediaControlService';
const stack = new AsyncDisposableStack();
let server: TestServer;
let pids: number[];
beforeAll(async () => {
  server = stack.use(await TestServer.start());
  pids = await server.pids('control');
});
afterAll(() => stack.disposeAsync());

const dial = (token?: string): GrpcClient<typeof MediaControlService> =>
  stack.use(GrpcClient.dial(MediaControlService, server.grpc, token === undefined ? {} : { token }));

interface Camera { readonly recording: { readonly policy: string; readonly switched?: string } }
const switchOf = async (id: string): Promise<string | undefined> => (await server.request<Camera>('GET', `/v1/cameras/${id}`)).recording.switched;

interface AuditEntry { readonly principal: string | null; readonly action: string; readonly target: string | null; readonly result: string; readonly detail: Readonly<Record<string, unknown>> }
const audit = async (): Promise<AuditEntry[]> => (await server.request<{ items: AuditEntry[] }>('GET', '/v1/audit?limit=100')).items;

/** What a plain client of grpc-js, which knows nothing of ours, is told of a call. */
const plainCall = async (method: string, request: Buffer, authorization?: string): Promise<ServiceError | Buffer> => {
  const client = new Client(server.grpc, credentials.createInsecure());
  const metadata = new Metadata();
  if (authorization !== undefined) metadata.set('authorization', authorization);
  try {
    return await new Promise((resolve) => {
      client.makeUnaryRequest(`/${SERVICE}/${method}`, (message: Buffer) => message, (message) => message, request, metadata, { deadline: Date.now() + 20_000 }, (error, answer) => {
        resolve(error ?? answer ?? Buffer.alloc(0));
      });
    });
  } finally {
    client.close();
  }
};
const codeOf = (answer: ServiceError | Buffer): status => (Buffer.isBuffer(answer) ? status.OK : answer.code);

/** `camera_id` = 1. */
const cameraRequest = (id: string): Buffer => Buffer.concat([Buffer.from([0x0a, id.length]), Buffer.from(id)]);

test('[SD-53] [REC-9] recording is stopped and started by gRPC: REST, the recordings and the audit log show it', async () => {
  const client = dial(server.token);
  const camera = await server.addCamera('line-1', { pipelines: [] });
  await using _publisher = ffmpegPush(clip('vtest-720p30.mp4'), server.rtspUrl(camera), { loop: true });
  const open = async (): Promise<boolean> => (await segmentsOf(server, 'line-1')).some((segment) => segment.open);
  await until('it records', open, 40_000);

  const stopped = await client.call.stopRecording(create(StopRecordingRequestSchema, { cameraId: 'line-1' }), CALL);
  expect(stopped.recording).toMatchObject({ cameraId: 'line-1', policy: RecordingPolicy.ALWAYS, switched: RecordingSwitch.OFF });
  expect(await switchOf('line-1')).toBe('off');
  await until('it no longer records', async () => !(await open()));

  const started = await client.call.startRecording(create(StartRecordingRequestSchema, { cameraId: 'line-1' }), CALL);
  expect(started.recording).toMatchObject({ policy: RecordingPolicy.ALWAYS, switched: RecordingSwitch.ON });
  expect(await switchOf('line-1')).toBe('on');
  await until('it records again', open);

  const entries = (await audit()).filter(({ target, result }) => target === 'line-1' && result === 'ok');
  for (const action of ['recording:start', 'recording:stop']) expect(entries).toContainEqual(expect.objectContaining({ principal: 'admin', action, detail: { protocol: 'grpc' } }));
});

test('[SD-53] only who may manage recordings may by gRPC: the roles of REST, and no token that is not valid now', async () => {
  await server.addCamera('guarded', { pipelines: [] });
  const request = create(StopRecordingRequestSchema, { cameraId: 'guarded' });
  await expect(dial().call.stopRecording(request, CALL)).rejects.toMatchObject({ code: 'UNAUTHENTICATED', reason: 'NO_CREDENTIAL' });
  const { valid, ...forged } = await forgedTokens(server.dataDir, server.token);
  for (const [name, token] of Object.entries({ ...forged, nonsense: 'nonsense', long: 'x'.repeat(6000) })) {
    await expect(dial(token).call.stopRecording(request, CALL), name).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  }
  expect(codeOf(await plainCall('StopRecording', cameraRequest('guarded'), `Basic ${Buffer.from('admin:admin').toString('base64')}`))).toBe(status.UNAUTHENTICATED);

  const tokens = new Map<string, string>();
  for (const role of ['viewer', 'operator']) {
    await server.request('POST', '/v1/users', { username: role, password: `${role}-password`, role });
    const answer = await server.request<{ access_token: string }>('POST', '/v1/auth/login', { username: role, password: `${role}-password` });
    tokens.set(role, answer.access_token);
  }
  await expect(dial(tokens.get('viewer')).call.stopRecording(request, CALL)).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
  expect(await switchOf('guarded')).toBeUndefined();
  const denials = (await audit()).filter(({ result, target }) => result === 'denied' && target === `/${SERVICE}/StopRecording`);
  expect(denials).toContainEqual(expect.objectContaining({ principal: 'viewer', action: 'recording:manage', detail: expect.objectContaining({ address: '127.0.0.1', reason: 'PERMISSION_DENIED' }) as unknown }));
  expect(denials).toContainEqual(expect.objectContaining({ principal: null, detail: expect.objectContaining({ reason: 'NO_CREDENTIAL' }) as unknown }));

  const operator = dial(tokens.get('operator'));
  expect((await operator.call.stopRecording(request, CALL)).recording?.switched).toBe(RecordingSwitch.OFF);
  expect(await dial(valid).call.stopRecording(request, CALL)).toMatchObject({ recording: { switched: RecordingSwitch.OFF } });
  // Logged out: the token is revoked, also on a connection it has been shown on.
  expect((await server.fetch('/v1/auth/logout', { method: 'POST', headers: { authorization: `Bearer ${String(tokens.get('operator'))}` } })).ok).toBe(true);
  await expect(operator.call.startRecording(create(StartRecordingRequestSchema, { cameraId: 'guarded' }), CALL)).rejects.toMatchObject({ code: 'UNAUTHENTICATED', reason: 'TOKEN_REVOKED' });
  expect(await switchOf('guarded')).toBe('off');
});

test('[SD-53] [SD-18] a refusal has the right status, words, and details in its trailers', async () => {
  const refusal = async (method: string, id: string) => {
    const answer = await plainCall(method, cameraRequest(id), `Bearer ${server.token}`);
    if (Buffer.isBuffer(answer)) throw new Error(`${method} was not refused`);
    const [trailer] = answer.metadata.get('grpc-status-details-bin');
    return { code: answer.code, details: answer.details, packed: Buffer.isBuffer(trailer) ? fromBinary(StatusSchema, trailer).details : [] };
  };
  const unknown = await refusal('StartRecording', 'nowhere');
  expect(unknown).toMatchObject({ code: status.NOT_FOUND, details: 'There is no camera nowhere.' });
  expect(unknown.packed.map((each) => anyUnpack(each, ErrorDetailsSchema))).toMatchObject([{ code: 'CAMERA_NOT_FOUND', message: 'There is no camera nowhere.', metadata: { camera: 'nowhere' } }]);
  for (const id of ['', '../etc', 'UPPER']) {
    const invalid = await refusal('StopRecording', id);
    expect(invalid.code, id).toBe(status.INVALID_ARGUMENT);
    expect(invalid.packed.map((each) => anyUnpack(each, BadRequestSchema)).filter((each) => each !== undefined), id).toMatchObject([{ fieldViolations: [{ field: 'camera_id' }] }]);
  }
  expect(await refusal('SetQuality', 'nowhere')).toMatchObject({ code: status.UNIMPLEMENTED, details: expect.stringContaining('comes in a later version') as unknown });
  for (const method of ['StartDistribution', 'StopDistribution']) expect(await refusal(method, 'nowhere'), method).toMatchObject({ code: status.NOT_FOUND });
  await expect(dial().call.setQuality(create(SetQualityRequestSchema), CALL)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  await expect(dial().call.startDistribution(create(StartDistributionRequestSchema), CALL)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  expect(codeOf(await plainCall('NoSuchMethod', Buffer.alloc(0), `Bearer ${server.token}`))).toBe(status.UNIMPLEMENTED);
});

const isServing = async (): Promise<boolean> => {
  using client = GrpcClient.dial(HealthService, server.grpc);
  const answers = await Promise.all(['', SERVICE, 'imageflow.v1.CameraStreamProcessor'].map((service) => client.call.check(create(HealthCheckRequestSchema, { service }), CALL)));
  return answers.every((answer) => answer.status === ServingStatus.SERVING);
};

test('[SD-53] health and reflection answer everybody; what lies between our own processes is not there', async () => {
  expect(await isServing()).toBe(true);
  const { ports, urls } = await server.request<{ ports: Record<string, number>; urls: Record<string, string> }>('GET', '/v1/health');
  expect(`127.0.0.1:${String(ports['grpc'])}`).toBe(server.grpc);
  expect(urls['grpc']).toBe(`grpc://${server.grpc}`);

  using client = GrpcClient.dial(ServerReflection, server.grpc);
  const call = client.call.serverReflectionInfo(CALL);
  const ask = async (messageRequest: ServerReflectionRequest['messageRequest']): Promise<ServerReflectionResponse['messageResponse']> => {
    call.write(create(ServerReflectionRequestSchema, { messageRequest }));
    const [answer] = (await once(call, 'data')) as [ServerReflectionResponse];
    return answer.messageResponse;
  };
  const list = await ask({ case: 'listServices', value: '*' });
  expect(list.case === 'listServicesResponse' && list.value.service.map(({ name }) => name).sort()).toEqual(['grpc.health.v1.Health', 'grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection', 'imageflow.v1.CameraStreamProcessor', SERVICE]);
  for (const symbol of [SERVICE, `${SERVICE}.StartRecording`, 'imageflow.v1.RecordingState']) {
    const found = await ask({ case: 'fileContainingSymbol', value: symbol });
    const files = found.case === 'fileDescriptorResponse' ? found.value.fileDescriptorProto.map((file) => fromBinary(FileDescriptorProtoSchema, file)) : [];
    expect(files.map(({ name }) => name), symbol).toEqual(['imageflow/v1/media_control_service.proto']);
    expect(files[0]?.service[0]?.method.map(({ name }) => name)).toContain('StopRecording');
  }
  const stream = await ask({ case: 'fileContainingSymbol', value: 'imageflow.v1.CameraStreamProcessor.ProcessVideoStream' });
  expect(stream.case === 'fileDescriptorResponse' && stream.value.fileDescriptorProto.map((file) => fromBinary(FileDescriptorProtoSchema, file).name).sort()).toEqual(['imageflow/v1/camera_stream_processor.proto', 'imageflow/v1/stream/messages.proto']);
  expect(await ask({ case: 'fileContainingSymbol', value: 'imageflow.v1.EdgeLinkService' })).toMatchObject({ case: 'errorResponse', value: { errorCode: status.NOT_FOUND } });
  expect(await ask({ case: 'fileByFilename', value: '/etc/passwd' })).toMatchObject({ case: 'errorResponse', value: { errorCode: status.NOT_FOUND } });
  call.end();
  call.resume();
  await once(call, 'end');

  using older = GrpcClient.dial(AlphaReflection, server.grpc);
  const alpha = older.call.serverReflectionInfo(CALL);
  alpha.write(create(AlphaRequestSchema, { messageRequest: { case: 'fileContainingSymbol', value: SERVICE } }));
  const [answer] = (await once(alpha, 'data')) as [AlphaResponse];
  expect(answer.messageResponse.case).toBe('fileDescriptorResponse');
  alpha.end();
});

/** Sends bytes to the gRPC port; resolves when the server has closed, or after it was left alone. */
const throwAt = async (data: Buffer): Promise<void> => {
  const { hostname, port } = new URL(`http://${server.grpc}`);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  socket.resume();
  const closed = once(socket, 'close');
  socket.end(data);
  await closed;
};

test('[SD-53] garbage, messages that are none or too large, and thousands of calls harm nobody', async () => {
  const random = seededRandom(53);
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  await throwAt(Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
  for (let i = 0; i < 100; i++) {
    const garbage = bytes(random, 1 + (i * 37) % 2000);
    await throwAt(i % 3 === 0 ? garbage : Buffer.concat([preface, ...(i % 3 === 1 ? [settings] : []), garbage]));
  }
  expect(await isServing()).toBe(true);

  const bearer = `Bearer ${server.token}`;
  expect(codeOf(await plainCall('StopRecording', Buffer.alloc(1 << 20), bearer))).toBe(status.RESOURCE_EXHAUSTED);
  for (let i = 0; i < 50; i++) expect(codeOf(await plainCall('StopRecording', Buffer.concat([Buffer.from([0x0a, 0xff]), bytes(random, i)]), bearer))).not.toBe(status.OK);

  const guesser = dial('guess');
  const request = create(StopRecordingRequestSchema, { cameraId: 'line-1' });
  const answers = await Promise.all(Array.from({ length: 2000 }, () => guesser.call.stopRecording(request, CALL).then(() => 'OK', (error: unknown) => (error as { code: string }).code)));
  expect(new Set(answers)).toEqual(new Set(['UNAUTHENTICATED', 'RESOURCE_EXHAUSTED']));
  const told = await plainCall('StopRecording', cameraRequest('line-1'));
  const [trailer] = Buffer.isBuffer(told) ? [] : told.metadata.get('grpc-status-details-bin');
  const details = Buffer.isBuffer(trailer) ? fromBinary(StatusSchema, trailer).details : [];
  expect(details.some((each) => anyUnpack(each, RetryInfoSchema)?.retryDelay !== undefined)).toBe(true);

  expect(await isServing()).toBe(true);
  expect((await dial(server.token).call.startRecording(create(StartRecordingRequestSchema, { cameraId: 'line-1' }), CALL)).recording?.switched).toBe(RecordingSwitch.ON);
  expect(await server.pids('control')).toEqual(pids);
});

test('[SD-53] the server stops in time, whoever is still connected', async () => {
  const { hostname, port } = new URL(`http://${server.grpc}`);
  const silent = connect(Number(port), hostname);
  silent.on('error', () => undefined);
  await once(silent, 'connect');
  using client = GrpcClient.dial(ServerReflection, server.grpc);
  const call = client.call.serverReflectionInfo();
  call.on('error', () => undefined);
  call.write(create(ServerReflectionRequestSchema, { messageRequest: { case: 'listServices', value: '' } }));
  await once(call, 'data');
  const closed = once(silent, 'close');
  silent.resume();
  expect(await server.stop()).toBe(0);
  await closed;
  expect(server.log.filter((line) => line.includes('was killed'))).toEqual([]);
});
