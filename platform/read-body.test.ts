import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import type { ClientRequest, IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MediaError } from '../core/errors.ts';
import { FakeClock } from '../core/testing-clock.ts';
import { readBody } from './read-body.ts';

let server: Server;
let clock: FakeClock;
/** What became of the body that came last. */
let outcome: PromiseWithResolvers<string>;
/** A request has come. */
let came: PromiseWithResolvers<void>;

beforeEach(async () => {
  clock = new FakeClock();
  outcome = Promise.withResolvers();
  came = Promise.withResolvers();
  server = createServer((request, response) => {
    readBody(request, { maxBytes: 10, withinMs: 30_000, clock }).then(
      (body) => { outcome.resolve(body.toString()); response.end('taken'); },
      (error: unknown) => { outcome.resolve(error instanceof MediaError ? (error.reason ?? error.code) : String(error)); response.writeHead(400, { connection: 'close' }).end('refused'); },
    );
    came.resolve();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => { server.closeAllConnections(); server.close(); });

const open = (headers: Record<string, string> = {}): ClientRequest => {
  const client = httpRequest({ port: (server.address() as AddressInfo).port, method: 'POST', headers });
  client.on('error', () => undefined);
  return client;
};
const statusOf = async (client: ClientRequest): Promise<number | undefined> => {
  const [response] = (await once(client, 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode;
};

test('a body is read whole, however it comes', async () => {
  const client = open();
  client.write('abc');
  await came.promise;
  client.end('defg');
  expect([await outcome.promise, await statusOf(client)]).toEqual(['abcdefg', 200]);
});

test('one that is too large is refused by what its header says, or when it is, and its client is told', async () => {
  const told = open({ 'content-length': '11' });
  told.flushHeaders();
  expect([await outcome.promise, await statusOf(told)]).toEqual(['PAYLOAD_TOO_LARGE', 400]);
  outcome = Promise.withResolvers();
  const untold = open();
  untold.write('01234567890');
  expect([await outcome.promise, await statusOf(untold)]).toEqual(['PAYLOAD_TOO_LARGE', 400]);
});

test('one that does not come is given up, and its client is told', async () => {
  const client = open();
  client.write('a');
  await came.promise;
  clock.advance(30_000);
  expect([await outcome.promise, await statusOf(client)]).toEqual(['REQUEST_TIMEOUT', 400]);
});

test('a client that hangs up is noticed', async () => {
  const client = open();
  client.write('a');
  await came.promise;
  client.destroy();
  expect(await outcome.promise).toBe('UPLOAD_BROKEN_OFF');
});
