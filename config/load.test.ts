import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import fc from 'fast-check';
import { MediaError } from '../core/errors.ts';
import { configKeys } from './keys.ts';
import { loadConfig, paths } from './load.ts';
import { Config } from './schema.ts';

let folder: string;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'if-config-')); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });
const yaml = (text: string): string => {
  const path = join(folder, 'edge.yaml');
  writeFileSync(path, text);
  return path;
};
const refusal = (options: Parameters<typeof loadConfig>[0]): string => {
  try {
    loadConfig(options);
  } catch (error) {
    expect(error).toBeInstanceOf(MediaError);
    return (error as MediaError).message;
  }
  throw new Error('it was taken');
};

test('without a file and variables every key has its default of the contract', () => {
  const config = loadConfig({ env: {} });
  expect(config).toEqual(Config.parse({}));
  expect([config.http.port, config.edge.http_port, config.webrtc.port, config.rtsp.port]).toEqual([8080, 8081, 8189, 8554]);
});

test('the example file shows every key and says exactly the defaults', () => {
  const path = join(import.meta.dirname, 'edge.example.yaml');
  expect(loadConfig({ path, env: {} })).toEqual(Config.parse({}));
  const text = readFileSync(path, 'utf8');
  for (const key of configKeys()) expect(text).toMatch(new RegExp(`^ *(# )?${key.path.at(-1) ?? ''}:`, 'm'));
});

test('variables win over the file, are of the type of their key, and reach keys that contain an underscore', () => {
  const path = yaml('http:\n  port: 1\ndata_dir: /from/file\n');
  const config = loadConfig({
    env: {
      IMAGEFLOW_CONFIG: path, IMAGEFLOW_HTTP_PORT: '0', IMAGEFLOW_EDGE_HTTP_PORT: '9001', IMAGEFLOW_CAMERAS_CREATE_ON_PUBLISH: 'false',
      IMAGEFLOW_RTSP_AUTH: 'basic, digest', IMAGEFLOW_WEBRTC_ADDITIONAL_HOSTS: '10.0.0.1,cam.example', IMAGEFLOW_RECORDER_MAX_BYTES: 'none',
      IMAGEFLOW_WEBRTC_ICE_SERVERS: '[{"urls":"stun:stun.example"}]', IMAGEFLOW_ADMIN_PASSWORD: '1234567890', IMAGEFLOW_LOG_LEVEL: '', PATH: '/bin',
    },
  });
  expect(config.data_dir).toBe('/from/file');
  expect(config.http.port).toBe(0);
  expect(config.edge.http_port).toBe(9001);
  expect(config.cameras.create_on_publish).toBe(false);
  expect(config.rtsp.auth).toEqual(['basic', 'digest']);
  expect(config.webrtc.additional_hosts).toEqual(['10.0.0.1', 'cam.example']);
  expect(config.webrtc.ice_servers).toEqual([{ urls: 'stun:stun.example' }]);
  expect(config.recorder.max_bytes).toBeNull();
  expect(config.admin.password).toBe('1234567890');
});

test('no two keys share a variable', () => {
  const names = configKeys().map((key) => key.variable);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toContain('IMAGEFLOW_INFERENCE_MODELS_DIR');
});

test('a wrong value is refused with its key, its origin and what is allowed', () => {
  const path = yaml('log:\n  level: loud\nrtsp:\n  auth: []\n');
  const message = refusal({ path, env: { IMAGEFLOW_HTTP_PORT: 'eighty', IMAGEFLOW_MEDIA_PART_MS: '5' } });
  expect(message).toContain('http.port (IMAGEFLOW_HTTP_PORT) must be a whole number from 0 to 65535');
  expect(message).toContain('media.part_ms (IMAGEFLOW_MEDIA_PART_MS) must be a whole number from 20 to 2000');
  expect(message).toContain(`log.level (${path}) must be one of debug, info, warn, error`);
  expect(message).toContain(`rtsp.auth (${path}) must be a list of at least 1, each one of basic, digest`);
});

test('what models run on is a word or a list, in the file and as a variable', () => {
  const of = (text: string) => loadConfig({ env: { IMAGEFLOW_WORKER_EXECUTION_PROVIDERS: text } }).worker.execution_providers;
  expect([loadConfig({ env: {} }).worker.execution_providers, of('auto'), of('cpu'), of('[cuda, cpu]')]).toEqual(['auto', 'auto', ['cpu'], ['cuda', 'cpu']]);
  expect(loadConfig({ path: yaml('worker:\n  execution_providers: [webgpu]\n'), env: {} }).worker.execution_providers).toEqual(['webgpu']);
  expect(refusal({ env: { IMAGEFLOW_WORKER_EXECUTION_PROVIDERS: 'cuda,gpu' } })).toContain('worker.execution_providers (IMAGEFLOW_WORKER_EXECUTION_PROVIDERS) must be auto or a list of at least 1, each one of cpu, tensorrt, cuda');
  expect(refusal({ path: yaml('worker:\n  execution_providers: []\n'), env: {} })).toContain('worker.execution_providers');
});

test('a key or variable that does not exist is refused, with the nearest that does', () => {
  expect(refusal({ path: yaml('http:\n  prot: 1\n'), env: {} })).toContain('http.prot');
  expect(refusal({ path: yaml('http:\n  prot: 1\n'), env: {} })).toContain('did you mean port?');
  expect(refusal({ path: yaml('nonsense: 1\n'), env: {} })).toContain('data_dir, bind');
  expect(refusal({ env: { IMAGEFLOW_HTTP_PROT: '1' } })).toContain('did you mean IMAGEFLOW_HTTP_PORT?');
});

test('[D-17] an internal listener on host:port is refused without a token, a Unix socket is not', () => {
  const tcp = { IMAGEFLOW_WORKER_LISTEN: '0.0.0.0:7001' };
  expect(refusal({ env: tcp })).toMatch(/control\.internal_token .*worker\.listen is 0\.0\.0\.0:7001, .*set a token/);
  expect(refusal({ path: yaml('control:\n  internal_listen: "[::1]:7000"\n'), env: {} })).toContain('control.internal_listen is [::1]:7000');
  expect(loadConfig({ env: { ...tcp, IMAGEFLOW_CONTROL_INTERNAL_TOKEN: '0123456789abcdef' } }).worker.listen).toBe('0.0.0.0:7001');
  expect(refusal({ env: { ...tcp, IMAGEFLOW_CONTROL_INTERNAL_TOKEN: 'short' } })).toContain('at least 16 characters');
  expect(loadConfig({ env: { IMAGEFLOW_WORKER_LISTEN: 'unix:/run/w.sock', IMAGEFLOW_CONTROL_INTERNAL_LISTEN: 'unix:/run/c.sock' } }).worker.listen).toBe('unix:/run/w.sock');
});

test('[INF-1] workers are named by addresses that others can call; one that announces itself knows its own', () => {
  const token = { IMAGEFLOW_CONTROL_INTERNAL_TOKEN: '0123456789abcdef' };
  expect(loadConfig({ env: { IMAGEFLOW_INFERENCE_WORKERS: 'gpu-1:7001,unix:/run/second.sock' } }).inference.workers).toEqual(['gpu-1:7001', 'unix:/run/second.sock']);
  expect(refusal({ env: { IMAGEFLOW_INFERENCE_WORKERS: '0.0.0.0:7001' } })).toContain('host:port');
  const announces = { ...token, IMAGEFLOW_WORKER_ANNOUNCE_TO: 'line-server:7000' };
  expect(refusal({ env: { ...announces, IMAGEFLOW_WORKER_LISTEN: '0.0.0.0:7001' } })).toMatch(/worker\.address .*0\.0\.0\.0:7001/);
  expect(refusal({ env: announces })).toMatch(/worker\.address .*Unix socket/);
  expect(loadConfig({ env: { ...announces, IMAGEFLOW_WORKER_LISTEN: '0.0.0.0:7001', IMAGEFLOW_WORKER_ADDRESS: 'gpu-1:7001' } }).worker.address).toBe('gpu-1:7001');
  expect(loadConfig({ env: { ...announces, IMAGEFLOW_WORKER_LISTEN: 'gpu-1:7001' } }).worker.announce_to).toBe('line-server:7000');
});

test('the variables Kubernetes makes for a service called imageflow are left alone', () => {
  const env = { IMAGEFLOW_SERVICE_HOST: '10.0.0.1', IMAGEFLOW_SERVICE_PORT: '8080', IMAGEFLOW_SERVICE_PORT_HTTP: '8080', IMAGEFLOW_PORT: 'tcp://10.0.0.1:8080', IMAGEFLOW_PORT_8080_TCP_ADDR: '10.0.0.1', IMAGEFLOW_PORT_8080_TCP: 'tcp://10.0.0.1:8080' };
  expect(loadConfig({ env })).toEqual(Config.parse({}));
});

test('a missing file and broken YAML are refused by name', () => {
  expect(refusal({ path: join(folder, 'none.yaml'), env: {} })).toContain('none.yaml cannot be read');
  expect(refusal({ path: yaml('http: [1\n'), env: {} })).toContain('is not valid YAML');
  expect(refusal({ path: yaml('- a\n'), env: {} })).toContain('these keys');
  expect(loadConfig({ path: yaml('# nothing\n'), env: {} }).http.port).toBe(8080);
});

test('paths are absolute and below data_dir unless told otherwise', () => {
  const config = loadConfig({ env: { IMAGEFLOW_DATA_DIR: 'some/data', IMAGEFLOW_INFERENCE_MODELS_DIR: 'm' } });
  expect(paths(config)).toMatchObject({ dataDir: resolve('some/data'), database: resolve('some/data/imageflow.db'), models: resolve('m'), clips: resolve('clips') });
});

test('any YAML text loads or is refused, and never crashes', () => {
  const path = join(folder, 'fuzz.yaml');
  const text = fc.oneof(fc.string(), fc.json(), fc.dictionary(fc.constantFrom('http', 'rtsp', 'log', 'data_dir', 'x'), fc.jsonValue()).map((value) => JSON.stringify(value)));
  fc.assert(fc.property(text, (content) => {
    writeFileSync(path, content);
    try { loadConfig({ path, env: {} }); } catch (error) { expect(error).toBeInstanceOf(MediaError); }
  }), { numRuns: 300 });
});
