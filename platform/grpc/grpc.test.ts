import { mkdtempSync, rmSync, existsSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { create } from '@bufbuild/protobuf';
import { MediaError } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { AttachRequestSchema, AttachResponseSchema, EdgeLinkService, ResolveCameraRequestSchema, ResolveCameraResponseSchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import type { AttachRequest, AttachResponse } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import { HealthCheckRequestSchema } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import type { HealthCheckResponse } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { GrpcClient } from './client.ts';
import { fromGrpc, toGrpcStatus } from './errors.ts';
import { Health, HealthService, ServingStatus } from './health.ts';
import { GrpcServer } from './server.ts';
import { serve } from './service.ts';
import type { Handlers } from './service.ts';

let folder: string;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'if-grpc-')); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

const handlers: Handlers<typeof EdgeLinkService> = {
  resolveCamera: (request) => {
    if (request.camera === 'refuse') return Promise.reject(new MediaError('UNPROCESSABLE', 'not this one', { reason: 'SO', retryAfterSeconds: 3 }));
    if (request.camera === 'bug') throw new TypeError('secret');
    return Promise.resolve(create(ResolveCameraResponseSchema, { camera: { id: request.camera, name: 'N' } }));
  },
  attach: (call) => {
    call.on('data', (message: AttachRequest) => {
      if (message.message.case === 'hello') call.write(create(AttachResponseSchema, { message: { case: 'welcome', value: { lastSeq: message.message.value.newestSeq } } }));
    });
    call.on('end', () => { call.end(); });
  },
};

test('unary calls and streams carry typed messages over a Unix socket, and a stale socket file is no obstacle', async () => {
  const path = join(folder, 's.sock');
  writeFileSync(path, '');
  const server = await GrpcServer.start({ listen: `unix:${path}`, services: [serve(EdgeLinkService, handlers)] });
  using client = GrpcClient.dial(EdgeLinkService, server.address);
  const answer = await client.call.resolveCamera(create(ResolveCameraRequestSchema, { camera: 'line-1' }), { deadlineMs: 5000 });
  expect(answer.camera?.id).toBe('line-1');
  const stream = client.call.attach();
  stream.write(create(AttachRequestSchema, { message: { case: 'hello', value: { newestSeq: 12n } } }));
  const [first] = (await once(stream, 'data')) as [AttachResponse];
  expect(first.message).toMatchObject({ case: 'welcome', value: { lastSeq: 12n } });
  stream.end();
  stream.resume();
  await once(stream, 'end');
  await server[Symbol.asyncDispose]();
  expect(existsSync(path)).toBe(false);
});

test('a refusal arrives as the MediaError that was thrown; a bug says nothing of itself and is reported', async () => {
  const bugs: unknown[] = [];
  await using server = await GrpcServer.start({ listen: '127.0.0.1:0', services: [serve(EdgeLinkService, handlers)], onError: (error) => bugs.push(error) });
  using client = GrpcClient.dial(EdgeLinkService, server.address);
  await expect(client.call.resolveCamera(create(ResolveCameraRequestSchema, { camera: 'refuse' }))).rejects.toMatchObject({ code: 'UNPROCESSABLE', message: 'not this one', reason: 'SO', retryAfterSeconds: 3 });
  await expect(client.call.resolveCamera(create(ResolveCameraRequestSchema, { camera: 'bug' }))).rejects.toMatchObject({ code: 'INTERNAL', message: 'internal error' });
  expect(bugs).toHaveLength(1);
});

test('a server that is not there is UNAVAILABLE, and one that starts later is found', async () => {
  const address = `unix:${join(folder, 'late.sock')}`;
  using client = GrpcClient.dial(EdgeLinkService, address);
  await expect(client.call.resolveCamera(create(ResolveCameraRequestSchema, { camera: 'a' }))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await using _server = await GrpcServer.start({ listen: address, services: [serve(EdgeLinkService, handlers)] });
  await client.ready(5000);
  expect((await client.call.resolveCamera(create(ResolveCameraRequestSchema, { camera: 'a' }))).camera?.id).toBe('a');
});

test('an aborted call ends', async () => {
  await using server = await GrpcServer.start({ listen: '127.0.0.1:0', services: [serve(EdgeLinkService, { ...handlers, resolveCamera: () => new Promise(() => undefined) })], graceMs: 10 });
  using client = GrpcClient.dial(EdgeLinkService, server.address);
  const abort = new AbortController();
  const pending = client.call.resolveCamera(create(ResolveCameraRequestSchema, { camera: 'a' }), { signal: abort.signal });
  abort.abort();
  await expect(pending).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('a listener with a token answers nobody without it', async () => {
  await using server = await GrpcServer.start({ listen: '127.0.0.1:0', services: [serve(EdgeLinkService, handlers)], token: 'sesame' });
  const request = create(ResolveCameraRequestSchema, { camera: 'a' });
  using stranger = GrpcClient.dial(EdgeLinkService, server.address);
  await expect(stranger.call.resolveCamera(request)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  const stream = stranger.call.attach();
  const [error] = (await once(stream, 'error')) as [Error];
  expect(fromGrpc(error).code).toBe('UNAUTHENTICATED');
  using guesser = GrpcClient.dial(EdgeLinkService, server.address, { token: 'sesame ' });
  await expect(guesser.call.resolveCamera(request)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  using friend = GrpcClient.dial(EdgeLinkService, server.address, { token: 'sesame' });
  expect((await friend.call.resolveCamera(request)).camera?.id).toBe('a');
});

test('health is checked and watched', async () => {
  const health = new Health();
  await using server = await GrpcServer.start({ listen: '127.0.0.1:0', services: [health.service], graceMs: 10 });
  using client = GrpcClient.dial(HealthService, server.address);
  expect((await client.call.check(create(HealthCheckRequestSchema))).status).toBe(ServingStatus.NOT_SERVING);
  await expect(client.call.check(create(HealthCheckRequestSchema, { service: 'nobody' }))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  const watch = client.call.watch(create(HealthCheckRequestSchema));
  const seen: number[] = [];
  const serving = new Promise<void>((resolve) => {
    watch.on('data', (response: HealthCheckResponse) => {
      seen.push(response.status);
      if (response.status === ServingStatus.SERVING) resolve();
      else health.set('', true);
    });
  });
  watch.on('error', () => undefined);
  await serving;
  expect(seen).toEqual([ServingStatus.NOT_SERVING, ServingStatus.SERVING]);
  health[Symbol.dispose]();
});

test('every code of ours comes back as itself', () => {
  const codes: readonly ErrorCode[] = ['INVALID_ARGUMENT', 'UNPROCESSABLE', 'NOT_ACCEPTABLE', 'UNSUPPORTED_MEDIA_TYPE', 'PAYLOAD_TOO_LARGE', 'UNAUTHENTICATED', 'PERMISSION_DENIED', 'NOT_FOUND', 'ALREADY_EXISTS', 'FAILED_PRECONDITION', 'RESOURCE_EXHAUSTED', 'UNAVAILABLE', 'DEADLINE_EXCEEDED', 'INTERNAL'];
  for (const code of codes) {
    const status = toGrpcStatus(new MediaError(code, 'text'));
    expect(fromGrpc(Object.assign(new Error('x'), status)).code).toBe(code);
  }
});

test('[SD-53] a listener for strangers takes so many connections and calls, refuses more, and goes on when they have ended', async () => {
  const waiting: (() => void)[] = [];
  const slow: Handlers<typeof EdgeLinkService> = {
    ...handlers,
    resolveCamera: async () => {
      await new Promise<void>((resolve) => { waiting.push(resolve); });
      return create(ResolveCameraResponseSchema);
    },
  };
  await using server = await GrpcServer.start({ listen: '127.0.0.1:0', services: [serve(EdgeLinkService, slow)], limits: { maxConnections: 1, maxCalls: 2, maxStreams: 1 }, graceMs: 10 });
  using client = GrpcClient.dial(EdgeLinkService, server.address);
  const request = create(ResolveCameraRequestSchema, { camera: 'a' });
  const taken = [client.call.resolveCamera(request), client.call.resolveCamera(request)];
  await vi.waitFor(() => { expect(waiting).toHaveLength(2); }, 10_000);
  await expect(client.call.resolveCamera(request)).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'TOO_MANY_CALLS' });

  const stream = client.call.attach();
  stream.write(create(AttachRequestSchema, { message: { case: 'hello', value: { newestSeq: 1n } } }));
  await once(stream, 'data');
  const second = client.call.attach();
  const [error] = (await once(second, 'error')) as [Error];
  expect(fromGrpc(error).code).toBe('RESOURCE_EXHAUSTED');
  stream.end();
  stream.resume();
  await once(stream, 'end');
  const third = client.call.attach();
  third.on('error', () => undefined);
  third.write(create(AttachRequestSchema, { message: { case: 'hello', value: { newestSeq: 2n } } }));
  await once(third, 'data');
  third.cancel();

  using other = GrpcClient.dial(EdgeLinkService, server.address);
  await expect(other.call.resolveCamera(request, { deadlineMs: 5000 })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  for (const end of waiting) end();
  await Promise.all(taken);
  const again = client.call.resolveCamera(request);
  await vi.waitFor(() => { expect(waiting).toHaveLength(3); }, 10_000);
  waiting[2]?.();
  await again;
});

test('[SD-53] an address that is taken is told with the code of the system', async () => {
  await using server = await GrpcServer.start({ listen: '127.0.0.1:0', services: [serve(EdgeLinkService, handlers)] });
  await expect(GrpcServer.start({ listen: server.address, services: [serve(EdgeLinkService, handlers)] })).rejects.toMatchObject({
    message: expect.stringMatching(/cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/) as unknown, cause: { code: 'EADDRINUSE' },
  });
});

test.each(['tcp', 'unix'])('a call that is worked on when the server stops gets its answer, and a stream hears why it ends (%s)', async (kind) => {
  const working = Promise.withResolvers<undefined>();
  const slow: Handlers<typeof EdgeLinkService> = {
    resolveCamera: async () => {
      working.resolve(undefined);
      await new Promise((resolve) => { setTimeout(resolve, 100); });
      return create(ResolveCameraResponseSchema, { camera: { id: 'late' } });
    },
    attach: (call) => {
      call.write(create(AttachResponseSchema));
      void working.promise.then(() => { call.emit('error', toGrpcStatus(new MediaError('UNAVAILABLE', 'stops', { reason: 'SO' }))); });
    },
  };
  const server = await GrpcServer.start({ listen: kind === 'tcp' ? '127.0.0.1:0' : `unix:${join(folder, 's.sock')}`, services: [serve(EdgeLinkService, slow)], graceMs: 5_000 });
  using client = GrpcClient.dial(EdgeLinkService, server.address);
  const stream = client.call.attach();
  const ended = new Promise((resolve) => { stream.on('error', (error) => { resolve(fromGrpc(error)); }); });
  await once(stream.resume(), 'data');
  const answer = client.call.resolveCamera(create(ResolveCameraRequestSchema));
  await working.promise;
  await server[Symbol.asyncDispose]();
  expect((await answer).camera?.id).toBe('late');
  expect(await ended).toMatchObject({ code: 'UNAVAILABLE', reason: 'SO' });
});
