import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { create } from '@bufbuild/protobuf';
import { GrpcClient } from '../../platform/grpc/client.ts';
import { HealthService, ServingStatus } from '../../platform/grpc/health.ts';
import { HealthCheckRequestSchema } from '../../proto/gen/grpc/health/v1/health_pb.ts';
import { PLAY_OFFER } from '../support/doors.ts';
import { clip, ffmpegPush } from '../support/media.ts';
import { TestServer, until } from '../support/server.ts';

const CAMERA = 'six';
const stack = new AsyncDisposableStack();
let server: TestServer;

const freePort = async (): Promise<number> => {
  const probe = createServer().listen(0, '::1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
};

beforeAll(async () => {
  server = stack.use(await TestServer.start({
    env: {
      IMAGEFLOW_BIND: '::1', IMAGEFLOW_CONTROL_INTERNAL_LISTEN: `[::1]:${String(await freePort())}`, IMAGEFLOW_WORKER_LISTEN: `[::1]:${String(await freePort())}`,
      IMAGEFLOW_CONTROL_INTERNAL_TOKEN: 'a token of this test alone',
    },
  }));
});
afterAll(() => stack.disposeAsync());

test("[D-17] a server bound to ::1 is whole: every URL it tells answers, and its processes meet on host:port by their token", async () => {
  const ports = [server.http, server.edge, server.rtsp].map((url) => new URL(url));
  expect(ports.map(({ hostname }) => hostname)).toEqual(['[::1]', '[::1]', '[::1]']);
  const { urls } = await server.request<{ urls: Record<string, string> }>('GET', '/v1/health');
  expect(urls).toEqual({ http: server.http, edge: server.edge, rtsp: server.rtsp, grpc: `grpc://${server.grpc}` });
  using health = GrpcClient.dial(HealthService, server.grpc);
  expect((await health.call.check(create(HealthCheckRequestSchema), { deadlineMs: 10_000 })).status).toBe(ServingStatus.SERVING);
  expect((await fetch(`${server.edge}/v1/health`)).status).toBe(200);

  const camera = await server.addCamera(CAMERA);
  expect(camera.urls['rtsp']).toBe(`${server.rtsp}/${CAMERA}`);
  expect(camera.direct_urls['hls']).toBe(`${server.edge}/hls/${CAMERA}/index.m3u8`);
  stack.use(ffmpegPush(clip('vtest-720p30-baseline.mp4'), server.rtspUrl(camera), { loop: true }));
  // Pictures go edge → extractor → worker and back, events edge → control.
  await until('stored detections', async () => (await server.request<{ items: unknown[] }>('GET', `/v1/detections?camera=${CAMERA}&limit=1`)).items.length > 0, 30_000);
  for (const url of [camera.urls['hls'], camera.direct_urls['hls']]) {
    await until(`a playlist at ${url ?? ''}`, async () => (await fetch(url ?? '', { headers: { authorization: `Bearer ${server.token}` } })).status === 200);
  }
  const whep = await server.fetch(`/whep/${CAMERA}`, { method: 'POST', body: PLAY_OFFER, headers: { 'content-type': 'application/sdp' } });
  expect([whep.status, await whep.text()]).toEqual([201, expect.stringMatching(/^a=candidate:.* ::1 \d+ typ host/m)]);
});
