import { connect } from 'node:net';
import { socketHost } from '../../core/listener-url.ts';

/** Sends bytes as they are and gives all that comes back until the server closes, for what fetch would not send. */
export const rawExchange = (base: string, bytes: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const url = new URL(base);
    const socket = connect(Number(url.port), socketHost(url), () => { socket.write(bytes); });
    let text = '';
    socket.setEncoding('latin1');
    socket.on('data', (data: string) => { text += data; });
    socket.on('close', () => { resolve(text); });
    socket.on('error', reject);
  });

export const rawGet = (base: string, path: string, headers: Readonly<Record<string, string>>): Promise<string> => {
  const lines = Object.entries({ host: new URL(base).host, ...headers, connection: 'close' }).map(([name, value]) => `${name}: ${value}`);
  return rawExchange(base, [`GET ${path} HTTP/1.1`, ...lines, '', ''].join('\r\n'));
};
