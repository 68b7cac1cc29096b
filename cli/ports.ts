import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { Config } from '../config/schema.ts';
import { MediaError, messageOf } from '../core/errors.ts';

/**
 * Below the ports that systems lend to outgoing connections (Linux: from 32,768; IANA: from 49,152): one of those could take the port
 * between its choice and its use. And above those that browsers refuse (10,080 is the highest of Fetch's bad ports).
 */
const FIRST_PORT = 20_000;
const LAST_PORT = 32_767;
const ATTEMPTS = 100;

/** Variables of the configuration, and the ports they have got. */
type Chosen = Record<string, string>;

/** A port that `listen` can have and gives back at once, and none of `chosen`. Throws UNAVAILABLE with the last refusal when a hundred are taken. */
const freePort = async (chosen: Chosen, listen: (port: number) => Promise<void>): Promise<string> => {
  let refusal: unknown;
  for (let i = 0; i < ATTEMPTS; i++) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1);
    if (Object.values(chosen).includes(String(port))) continue; // it is given back, not in use yet
    try {
      await listen(port);
      return String(port);
    } catch (error) {
      refusal = error;
    }
  }
  throw new MediaError('UNAVAILABLE', `no free port was found: ${messageOf(refusal)}`, { cause: refusal });
};

const freeTcpPort = (chosen: Chosen, host: string): Promise<string> =>
  freePort(chosen, async (port) => {
    const server = createServer().listen(port, host);
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
  });

const freeUdpPort = (chosen: Chosen, host: string): Promise<string> =>
  freePort(chosen, async (port) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4').bind(port, host);
    await once(socket, 'listening');
    socket.close();
    await once(socket, 'close');
  });

/**
 * Port 0 means any free one (contract 0.2). It is chosen once, by the supervisor, so that a restarted process listens where it did before and
 * every process knows the others' ports. Returns the variables that say so.
 */
export const chooseFreePorts = async (config: Config): Promise<Readonly<Record<string, string>>> => {
  const chosen: Chosen = {};
  if (config.http.port === 0) chosen['IMAGEFLOW_HTTP_PORT'] = await freeTcpPort(chosen, config.http.bind ?? config.bind);
  if (config.edge.http_port === 0) chosen['IMAGEFLOW_EDGE_HTTP_PORT'] = await freeTcpPort(chosen, config.edge.bind ?? config.bind);
  if (config.rtsp.port === 0) chosen['IMAGEFLOW_RTSP_PORT'] = await freeTcpPort(chosen, config.rtsp.bind ?? config.bind);
  if (config.grpc.port === 0) chosen['IMAGEFLOW_GRPC_PORT'] = await freeTcpPort(chosen, config.grpc.bind ?? config.bind);
  if (config.webrtc.port === 0) chosen['IMAGEFLOW_WEBRTC_PORT'] = await freeUdpPort(chosen, config.webrtc.bind ?? config.bind);
  return chosen;
};
