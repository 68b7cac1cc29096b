import { createServer } from 'node:net';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Config } from '../config/schema.ts';

const freeTcpPort = async (host: string): Promise<number> => {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
};

const freeUdpPort = async (host: string): Promise<number> => {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4').bind(0, host);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
};

/**
 * Port 0 means any free one (contract 0.2). It is chosen once, by the supervisor, so that a restarted process listens where it did before and
 * every process knows the others' ports. Returns the variables that say so.
 */
export const chooseFreePorts = async (config: Config): Promise<Readonly<Record<string, string>>> => {
  const chosen: Record<string, string> = {};
  if (config.http.port === 0) chosen['IMAGEFLOW_HTTP_PORT'] = String(await freeTcpPort(config.http.bind ?? config.bind));
  if (config.edge.http_port === 0) chosen['IMAGEFLOW_EDGE_HTTP_PORT'] = String(await freeTcpPort(config.edge.bind ?? config.bind));
  if (config.rtsp.port === 0) chosen['IMAGEFLOW_RTSP_PORT'] = String(await freeTcpPort(config.rtsp.bind ?? config.bind));
  if (config.grpc.port === 0) chosen['IMAGEFLOW_GRPC_PORT'] = String(await freeTcpPort(config.grpc.bind ?? config.bind));
  if (config.webrtc.port === 0) chosen['IMAGEFLOW_WEBRTC_PORT'] = String(await freeUdpPort(config.webrtc.bind ?? config.bind));
  return chosen;
};
