import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { RtspConfig } from '../../config/rtsp.ts';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../platform/logging.ts';
import { noDescriptorLeft, watchListeningServers } from '../../platform/testing/listening-servers.ts';
import { RtspServer } from './rtsp-server.ts';
import type { RtspServerOptions } from './rtsp-server.ts';

test('a connection that cannot be accepted is no end of the listener', async () => {
  using watched = watchListeningServers();
  const authorizer = { authorize: () => Promise.reject(new Error('nobody')), digestHa1s: () => [], onRevoked: () => ({ [Symbol.dispose]: () => undefined }) };
  await using rtsp = await RtspServer.start({
    config: RtspConfig.parse({ port: 0 }), bind: '127.0.0.1', streams: {} as RtspServerOptions['streams'], cameras: {} as RtspServerOptions['cameras'], authorizer, clock: systemClock, logger: silentLogger(),
  });
  watched.servers[0]?.emit('error', noDescriptorLeft());
  const socket = connect(rtsp.port, '127.0.0.1');
  socket.write('OPTIONS rtsp://127.0.0.1/line-1 RTSP/1.0\r\nCSeq: 1\r\n\r\n');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(answer.toString()).toMatch(/^RTSP\/1\.0 200 /);
  socket.destroy();
});
