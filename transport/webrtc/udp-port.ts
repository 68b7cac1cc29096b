import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';

/**
 * Finds out which UDP port to use: `port`, or a free one for 0. libdatachannel cannot choose one itself, and answers a port that is
 * taken by ending the process. Rejects when the port is taken or the address is not this machine's.
 */
export const probeUdpPort = (port: number, bind: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const socket = createSocket({ type: isIPv6(bind) ? 'udp6' : 'udp4' });
    socket.once('error', (error) => {
      socket.close();
      reject(new Error(`WebRTC cannot use UDP ${bind}:${String(port)}: ${error.message}`, { cause: error }));
    });
    socket.bind({ port, address: bind, exclusive: true }, () => {
      const chosen = socket.address().port;
      socket.close(() => { resolve(chosen); });
    });
  });
