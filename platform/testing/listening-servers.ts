import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Server } from 'node:net';

const CHANNEL = 'tracing:net.server.listen:asyncStart';

/** Every server that begins to listen in this process until disposed: for what only the operating system does to one, as failing to accept. */
export const watchListeningServers = (): Disposable & { readonly servers: readonly Server[] } => {
  const servers: Server[] = [];
  const onListen = (message: unknown): void => { servers.push((message as { server: Server }).server); };
  subscribe(CHANNEL, onListen);
  return { servers, [Symbol.dispose]: () => { unsubscribe(CHANNEL, onListen); } };
};

/** What node reports when the process has no file descriptor left for a connection. */
export const noDescriptorLeft = (): Error => Object.assign(new Error('accept EMFILE'), { code: 'EMFILE', syscall: 'accept' });
