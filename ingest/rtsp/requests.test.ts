import { expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Authorizer } from '../../media-control/port.ts';
import { silentLogger } from '../../platform/logging.ts';
import type { CameraStream } from '../port.ts';
import { RtspAccess } from './access.ts';
import { RtspRequests } from './requests.ts';

test('[2.4] a key taken back while its camera is looked up announces nothing', async () => {
  let good = true;
  const clock = new FakeClock();
  const none = { [Symbol.dispose]: () => undefined };
  const authorizer: Authorizer = {
    authorize: (_credential, _action, camera) => (good ? Promise.resolve({ kind: 'key', id: 'k1', camera, grants: 'publish' }) : Promise.reject(new MediaError('UNAUTHENTICATED', 'revoked'))),
    digestHa1s: () => [],
    onRevoked: () => none,
  };
  const requests = new RtspRequests({
    access: new RtspAccess({ schemes: ['basic'], authorizer, clock, secret: Buffer.alloc(32) }),
    streams: { get: () => ({ camera: 'line-1' }) as CameraStream, list: () => [], onStream: () => none, onRemoved: () => none },
    cameras: { resolve: (id) => { good = false; return Promise.resolve({ id, name: id, source: { type: 'push' }, detectors: [], recording: 'off' }); } },
    sessionId: 's',
    publisher: { clock, logger: silentLogger(), ssrc: 1, send: () => undefined, close: () => undefined },
  });
  const headers = new Map([['cseq', ['1']], ['content-type', ['application/sdp']], ['authorization', [`Basic ${Buffer.from('x:key').toString('base64')}`]]]);
  await expect(requests.handle({ method: 'ANNOUNCE', uri: 'rtsp://h/line-1', version: '1.0', headers, body: Buffer.alloc(0) }, () => false)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  expect(requests.publisher).toBeNull();
});
