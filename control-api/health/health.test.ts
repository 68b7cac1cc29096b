import fc from 'fast-check';
import { expect, test } from 'vitest';
import { startApi } from '../testing/harness.ts';
import { mergeMetrics } from './merge-metrics.ts';

test('ready waits until each part has answered once; one lost later is degraded, not missing', async () => {
  const failing = new Set(['edge', 'worker']);
  const probe = (name: string) => ({ name, check: () => (failing.has(name) ? Promise.reject(new Error('/secret.sock')) : Promise.resolve()) });
  await using h = await startApi({ probes: [probe('edge'), probe('worker')], mediaPorts: () => ({ edgeHttp: 4711, rtsp: 4712 }), otherPorts: () => ({ webrtc: 4713 }) });
  const ready = async () => { h.clock.advance(500); return h.call('GET', '/v1/health/ready'); };
  expect((await h.call('GET', '/v1/health')).body).toMatchObject({ status: 'ok', ports: { edge_http: 4711, rtsp: 4712, webrtc: 4713 }, time: new Date(h.clock.now()).toISOString() });
  const starting = await ready();
  expect([starting.status, starting.body, starting.headers.get('retry-after')]).toEqual([503, { status: 'starting', missing: ['edge', 'worker'], degraded: [] }, '1']);
  failing.delete('edge');
  expect((await ready()).body).toMatchObject({ missing: ['worker'] });
  failing.delete('worker');
  expect(await ready()).toMatchObject({ status: 200, body: { status: 'ready', missing: [], degraded: [] } });
  failing.add('worker');
  expect(await ready()).toMatchObject({ status: 200, body: { status: 'ready', missing: [], degraded: ['worker'] } });
});

test('a part that never answers counts as missing after its deadline', async () => {
  const asked = Promise.withResolvers<undefined>();
  await using h = await startApi({ probes: [{ name: 'edge', check: () => { asked.resolve(undefined); return new Promise(() => undefined); } }] });
  const answer = h.call('GET', '/health/ready');
  await asked.promise;
  h.clock.advance(1000);
  expect(await answer).toMatchObject({ status: 503, body: { missing: expect.arrayContaining(['edge']) as string[] } });
});

test('/metrics merges what the other processes tell, and goes on without one that is silent', async () => {
  const asked = Promise.withResolvers<undefined>();
  await using h = await startApi({
    metricsSources: [
      { name: 'edge', read: () => Promise.resolve('# HELP imageflow_sessions Camera sessions by state.\n# TYPE imageflow_sessions gauge\nimageflow_sessions{state="live",process="edge"} 2\n') },
      { name: 'worker', read: (signal) => { asked.resolve(undefined); return new Promise((_, reject) => { signal.addEventListener('abort', () => { reject(signal.reason as Error); }); }); } },
    ],
  });
  await h.call('GET', '/v1/health');
  h.metrics.sessions.set({ state: 'live' }, 0);
  const answer = h.call<string>('GET', '/metrics');
  await asked.promise;
  h.clock.advance(1000);
  const { body, headers } = await answer;
  expect(headers.get('content-type')).toContain('version=0.0.4');
  expect(body).toContain('imageflow_sessions{state="live",process="edge"} 2');
  expect(body.match(/# TYPE imageflow_sessions gauge/g)).toHaveLength(1);
  expect(body).toMatch(/imageflow_http_request_seconds_count\{.*route="\/v1\/health",status="200".*\} 1/);
});

test('samples of one family stand together whatever the order of the texts', () => {
  const merged = mergeMetrics([
    '# HELP a_seconds Time.\n# TYPE a_seconds histogram\na_seconds_bucket{le="1"} 1\na_seconds_count 1\n# TYPE b gauge\nb 1\n',
    '# HELP a_seconds Time.\n# TYPE a_seconds histogram\na_seconds_bucket{le="1",process="x"} 2\na_seconds_count{process="x"} 2\n',
  ]);
  expect(merged.split('\n')).toEqual([
    '# HELP a_seconds Time.', '# TYPE a_seconds histogram', 'a_seconds_bucket{le="1"} 1', 'a_seconds_count 1', 'a_seconds_bucket{le="1",process="x"} 2', 'a_seconds_count{process="x"} 2',
    '# TYPE b gauge', 'b 1', '',
  ]);
  fc.assert(fc.property(fc.array(fc.string()), (texts) => { expect(mergeMetrics(texts)).toMatch(/\n$/); }));
});
