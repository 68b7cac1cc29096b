/** `doctor`: whether this machine can run the server: what is checked is what has gone wrong before. */
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync } from 'node:fs';
import { access, constants, mkdir, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Command } from 'commander';
import { paths } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { messageOf } from '../core/errors.ts';
import { describePostgres, waitForPostgres } from '../platform/database/postgres.ts';
import { configOf, configured, guarded, terminalIo } from './io.ts';
import type { CliIo } from './io.ts';

interface Finding {
  readonly what: string;
  /** Null: fine. */
  readonly problem: string | null;
  readonly detail?: string;
}

const NATIVE = ['better-sqlite3', 'node-datachannel', 'node-av', 'onnxruntime-node'];
const MIN_NODE = 24;

const tryTcp = (port: number, host: string): Promise<string | null> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => { resolve(error.message); });
    server.listen(port, host, () => { server.close(() => { resolve(null); }); });
  });

const tryUdp = (port: number, host: string): Promise<string | null> =>
  new Promise((resolve) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.once('error', (error) => { socket.close(); resolve(error.message); });
    socket.bind(port, host, () => { socket.close(() => { resolve(null); }); });
  });

/** In a process of its own: a package built for another machine may crash instead of throwing, and FFmpeg (GPL) is only ever loaded apart. */
const tryImport = (name: string, root: string): Promise<string | null> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', `await import(${JSON.stringify(name)}); process.exit(0)`], { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr = (stderr + text).slice(-2000); });
    child.once('error', (error) => { resolve(error.message); });
    child.once('close', (code, signal) => {
      resolve(code === 0 ? null : (/^\w*Error.*$/m.exec(stderr)?.[0] ?? `ended with ${String(signal ?? code)}`));
    });
  });

const checkPorts = async (config: Config): Promise<Finding[]> => {
  const listeners = [
    ['http.port', config.http.port, config.http.bind], ['edge.http_port', config.edge.http_port, config.edge.bind], ['rtsp.port', config.rtsp.port, config.rtsp.bind],
    ['grpc.port', config.grpc.port, config.grpc.bind],
  ] as const;
  const findings = await Promise.all(
    listeners.map(async ([what, port, bind]) => ({ what: `${what} ${String(port)}/tcp`, problem: await tryTcp(port, bind ?? config.bind) })),
  );
  const udp = { what: `webrtc.port ${String(config.webrtc.port)}/udp`, problem: await tryUdp(config.webrtc.port, config.webrtc.bind ?? config.bind) };
  return [...findings, udp].map((finding) => ({ ...finding, problem: finding.problem === null ? null : `${finding.problem} (a server that runs already?)` }));
};

const checkDisk = async (config: Config): Promise<Finding[]> => {
  const { dataDir } = paths(config);
  try {
    await mkdir(dataDir, { recursive: true });
    await access(dataDir, constants.W_OK);
    const { bavail, bsize } = await statfs(dataDir);
    const free = bavail * bsize;
    const detail = `${(free / 2 ** 30).toFixed(1)} GiB free`;
    return [{ what: `data_dir ${dataDir}`, detail, problem: free < config.recorder.min_free_bytes ? `${detail}, recorder.min_free_bytes wants ${(config.recorder.min_free_bytes / 2 ** 30).toFixed(1)}` : null }];
  } catch (error) {
    return [{ what: `data_dir ${dataDir}`, problem: messageOf(error) }];
  }
};

const checkDatabase = async (config: Config): Promise<Finding[]> => {
  const { url } = config.database;
  if (url === undefined) return [];
  return [{ what: 'database.url', detail: describePostgres(url), problem: await waitForPostgres({ url, waitMs: 0 }).then(() => null, messageOf) }];
};

const checkModels = (config: Config, bundled: string): Finding[] => {
  const name = config.inference.default_model;
  const found = [paths(config).models, bundled].map((directory) => join(directory, `${name}.onnx`)).find((file) => existsSync(file));
  return [{ what: `default model ${name}`, problem: found === undefined ? `no such .onnx file in ${paths(config).models}` : null, ...(found === undefined ? {} : { detail: found }) }];
};

export const doctorCommand = (io: CliIo = terminalIo, root: string = join(import.meta.dirname, '..')): Command =>
  configured('doctor', 'check that this machine can run the server').action((_options: unknown, command: Command) =>
    guarded(io, async () => {
      const config = configOf(command, io);
      const major = Number(process.versions.node.split('.', 1)[0]);
      const findings: Finding[] = [
        { what: `Node ${process.versions.node}`, problem: major >= MIN_NODE ? null : `${String(MIN_NODE)} or newer is needed` },
        ...(await Promise.all(NATIVE.map(async (name) => ({ what: `package ${name}`, problem: await tryImport(name, root) })))),
        ...checkModels(config, join(root, 'models')),
        { what: 'web pages', problem: null, detail: existsSync(join(root, 'web', 'dist', 'index.html')) ? 'built' : 'not built yet; npm start builds them' },
        ...(await checkDisk(config)),
        ...(await checkDatabase(config)),
        ...(await checkPorts(config)),
      ];
      for (const { what, problem, detail } of findings) io.out(`${problem === null ? 'ok  ' : 'FAIL'}  ${what}${problem === null ? (detail === undefined ? '' : `: ${detail}`) : `: ${problem}`}`);
      io.out('note  node-av is MIT; the FFmpeg inside its prebuilt package is GPL v3 and is loaded only in the extractor, thumbnailer, picture-decoder and exporter processes (docs/licences.md)');
      if (findings.some(({ problem }) => problem !== null)) io.fail();
    }),
  );
