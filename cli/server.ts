/** What `start` and `demo` share: the supervisor of this machine's processes, and waiting until they serve. */
import { join } from 'node:path';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { sleep } from '../core/clock.ts';
import { listenerUrl } from '../core/listener-url.ts';
import { createLogger } from '../platform/logging.ts';
import { superviseProcesses } from '../processes/supervisor.ts';
import type { SupervisorOptions } from '../processes/supervisor.ts';
import { chooseFreePorts } from './ports.ts';

const MAIN = join(import.meta.dirname, '..', 'main.ts');
const POLL_MS = 50;

export interface ServerUrls {
  /** The front door: pages, REST. */
  readonly http: string;
  /** Media HTTP of the edge. */
  readonly edge: string;
  readonly rtsp: string;
  /** Public gRPC; a client dials its host and port. */
  readonly grpc: string;
}

export interface Serving {
  readonly config: Config;
  readonly urls: ServerUrls;
  /** Of `admin`, when this start made it with a password of its own. */
  readonly adminPassword: string | null;
}

const waitUntilReady = async (url: string): Promise<void> => {
  for (;;) {
    const response = await fetch(`${url}/v1/health/ready`, { signal: AbortSignal.timeout(2000) }).catch(() => null);
    await response?.body?.cancel();
    if (response?.status === 200) return;
    await sleep(POLL_MS);
  }
};

/**
 * Runs the server until it is told to stop; resolves with the exit code. `onServing` is called once, when `/v1/health/ready` answers 200.
 * `stopOrder`: other processes than all of them, for tests that bring a worker of their own.
 */
export const runServer = async (configPath: string | undefined, onServing: (serving: Serving) => void, roles: Pick<SupervisorOptions, 'stopOrder'> = {}): Promise<number> => {
  process.title = 'imageflow-edge supervisor'; // npm's scripts give it on the command line; here for whoever starts it otherwise
  const before = loadConfig({ path: configPath, env: process.env });
  Object.assign(process.env, await chooseFreePorts(before));
  const config = loadConfig({ path: configPath, env: process.env });
  const logger = createLogger({ level: config.log.level, component: 'supervisor' });
  const local = listenerUrl('http', config.http.bind ?? config.bind, config.http.port);
  const urls: ServerUrls = {
    http: config.public_url ?? local,
    edge: listenerUrl('http', config.edge.bind ?? config.bind, config.edge.http_port),
    rtsp: listenerUrl('rtsp', config.rtsp.bind ?? config.bind, config.rtsp.port),
    grpc: listenerUrl('grpc', config.grpc.bind ?? config.bind, config.grpc.port),
  };
  let adminPassword: string | null = null;
  const onAdmin = (password: string): void => {
    adminPassword = password;
    process.stdout.write(`log in as admin with the password ${password} (shown this once)\n`);
  };
  const onReady = (): void => { void waitUntilReady(local).then(() => { onServing({ config, urls, adminPassword }); }); };
  return superviseProcesses(config, { script: MAIN, args: configPath === undefined ? [] : ['--config', configPath], logger, onReady, onAdmin, ...roles });
};

/** The last line of start-up on stdout (contract 0.3). */
export const printReady = ({ urls, config }: Serving): void => {
  process.stdout.write(`${JSON.stringify({ message: 'ready', urls: { ...urls, page: urls.http, webrtc: `udp:${config.webrtc.port}` } })}\n`);
};
