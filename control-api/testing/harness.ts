/** A control API on a fresh database and a free port, for tests. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Config } from '../../config/schema.ts';
import { MediaError } from '../../core/errors.ts';
import { listenerUrl } from '../../core/listener-url.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { DirectoryStore } from '../../platform/object-store/directory-store.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { freshDatabase } from '../../platform/testing/fresh-database.ts';
import type { PlaybackFile, RecordedPictures, SegmentReader } from '../../recorder/port.ts';
import { createControlApi } from '../control-api.ts';
import type { ControlApiOptions } from '../control-api.ts';
import { Passwords } from '../auth/service.ts';

export const ADMIN_PASSWORD = 'correct horse';

/** A playback file of known bytes. */
export const fakeFile = (bytes: Buffer, etag = '"file-1"'): PlaybackFile => ({
  byteLength: bytes.byteLength,
  etag,
  contentType: 'video/mp4',
  firstWall: 1_750_000_000_000,
  lastWall: 1_750_000_010_000,
  async *read(start, end, signal) {
    for (let at = start; at < end; at += 1000) {
      signal.throwIfAborted();
      await Promise.resolve();
      yield bytes.subarray(at, Math.min(end, at + 1000));
    }
  },
});

/** A reader of nothing, but for what a test gives. */
export const fakeReader = (known: Partial<SegmentReader>): SegmentReader => ({
  playback: () => Promise.reject(new Error('no playback here')),
  fragments: () => fakeFile(Buffer.alloc(0)).read(0, 0, new AbortController().signal),
  cmafSegments: () => Promise.resolve([]),
  codedPictures: () => Promise.resolve(null),
  pictures: () => Promise.reject(new MediaError('NOT_FOUND', 'no pictures here')),
  file: () => fakeFile(Buffer.alloc(0)),
  ...known,
});

/** Pictures of nothing, but for what a test gives. */
export const fakePictures = (known: Partial<RecordedPictures>): RecordedPictures => ({
  picture: () => Promise.reject(new MediaError('NOT_FOUND', 'no pictures here')),
  sprites: () => Promise.reject(new MediaError('NOT_FOUND', 'no pictures here')),
  ...known,
});

export interface HarnessOptions extends Partial<Omit<ControlApiOptions, 'config'>> {
  /** Merged into the configuration's top level. */
  readonly config?: Record<string, unknown>;
}

export type Answer<T = Record<string, unknown>> = { readonly status: number; readonly headers: Headers; readonly body: T };

export const startApi = async (overrides: HarnessOptions = {}) => {
  const directory = mkdtempSync(join(tmpdir(), 'control-api-'));
  const clock = overrides.clock instanceof FakeClock ? overrides.clock : new FakeClock();
  const db = overrides.db ?? (await freshDatabase(join(directory, 'control.db')));
  const metrics = createMetrics('control');
  const config = Config.parse({ data_dir: directory, bind: '127.0.0.1', http: { port: 0 }, grpc: { port: 0 }, admin: { password: ADMIN_PASSWORD }, sources: { file_dir: join(directory, 'clips') }, ...overrides.config });
  const api = await createControlApi({
    clock, logger: silentLogger(), metrics, probes: [], pagesDir: null, version: '0.0.0-test',
    segmentReader: fakeReader({ playback: () => Promise.resolve(fakeFile(Buffer.alloc(10_000, 7))) }),
    pictures: fakePictures({}),
    annotatedExporter: () => Promise.reject(new MediaError('UNAVAILABLE', 'no exporter here')),
    recordedDetection: () => ({ detect: () => Promise.resolve({ results: [], shown: 0, undecodable: 0, decoded: 0 }), [Symbol.asyncDispose]: () => Promise.resolve() }),
    sentPictures: {
      hold: () => ({ [Symbol.dispose]: () => undefined }),
      detect: () => Promise.resolve({ seen: false, reason: 'worker_lost', detail: 'no worker here' }),
    },
    archive: new DirectoryStore(join(directory, 'archive'), clock),
    pathOfSegment: (id) => join(directory, 'recordings', `${id}.mp4`),
    models: { names: () => Promise.resolve(['inspect-320', 'nanodet-g-320.int8.u8', 'nanodet-g-416.int8.u8']), forget: () => undefined },
    modelFiles: { bundledFolder: join(directory, 'bundled'), probe: () => Promise.resolve() },
    workerModels: () => Promise.reject(new MediaError('UNAVAILABLE', 'no worker here')),
    passwords: new Passwords({ cost: { N: 2 ** 10, r: 8, p: 1 } }),
    ...overrides, db, config,
  });
  const admin = await api.ensureAdmin();
  const base = listenerUrl('http', config.bind, await api.listen(), '127.0.0.1');

  const call = async <T = Record<string, unknown>>(method: string, path: string, init: { readonly token?: string; readonly json?: unknown; readonly headers?: Record<string, string>; readonly body?: string } = {}): Promise<Answer<T>> => {
    const headers = new Headers(init.headers);
    if (init.token !== undefined) headers.set('authorization', `Bearer ${init.token}`);
    if (init.json !== undefined) headers.set('content-type', 'application/json');
    const body = init.json === undefined ? init.body : JSON.stringify(init.json);
    const response = await fetch(`${base}${path}`, { method, headers, ...(body === undefined ? {} : { body }) });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers, body: (isJson && text !== '' ? JSON.parse(text) : text) as T };
  };
  const login = async (username = 'admin', password = ADMIN_PASSWORD): Promise<{ access_token: string; refresh_token: string; user: { id: string; username: string; role: string; permissions: string[] }; expires_in: number; token_type: string }> => {
    const answer = await call<Awaited<ReturnType<typeof login>>>('POST', '/v1/auth/login', { json: { username, password } });
    if (answer.status !== 200) throw new Error(`log-in answered ${String(answer.status)}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  return {
    admin, api, base, call, clock, config, db, directory, login, metrics,
    async [Symbol.asyncDispose]() {
      await api[Symbol.asyncDispose]();
      await db.destroy();
      rmSync(directory, { recursive: true, force: true });
    },
  };
};
export type Harness = Awaited<ReturnType<typeof startApi>>;
