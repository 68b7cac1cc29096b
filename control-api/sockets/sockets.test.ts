import { once } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { FakeClock } from '../../core/testing-clock.ts';
import { EventService } from '../events/service.ts';
import { startApi } from '../testing/harness.ts';
import type { Harness } from '../testing/harness.ts';
import type { ServerMessage } from './service.ts';

const TOPIC = 'video-analysis-events';

let h: Harness;
let token: string;
let clock: FakeClock;
let events: EventService;
let clients: WebSocket[];
beforeEach(async () => {
  clock = new FakeClock();
  clients = [];
  h = await startApi({ clock, config: { events: { retention_hours: 1 } } });
  ({ access_token: token } = await h.login());
  events = new EventService({ db: h.db, clock, logger: { error: () => undefined } as never, metrics: h.metrics, retentionHours: 1 });
});
afterEach(async () => {
  for (const client of clients) client.terminate();
  await events[Symbol.asyncDispose]();
  await h[Symbol.asyncDispose]();
});

class Client {
  readonly socket: WebSocket;
  readonly said: ServerMessage[] = [];
  closed: number | null = null;
  constructor(path = '/v1/ws', protocols: string[] = []) {
    this.socket = new WebSocket(`${h.base.replace('http', 'ws')}${path}`, protocols);
    clients.push(this.socket);
    this.socket.on('message', (data: Buffer) => { this.said.push(JSON.parse(data.toString()) as ServerMessage); });
    this.socket.on('close', (code) => { this.closed = code; });
  }
  async open(): Promise<this> { await once(this.socket, 'open'); return this; }
  say(message: unknown): void { this.socket.send(typeof message === 'string' ? message : JSON.stringify(message)); }
  async last(message: object): Promise<void> { await expect.poll(() => this.said.at(-1)).toMatchObject(message); }
  async ends(code: number): Promise<void> { await expect.poll(() => this.closed).toBe(code); }
  /** The numbers of the events it was sent. */
  get numbers(): unknown[] { return this.said.flatMap((message) => (message.type === 'event' ? [(message.event as { n: unknown }).n] : [])); }
}

const client = async (path?: string, protocols?: string[]): Promise<Client> => new Client(path, protocols).open();
const watching = async (message: object = {}): Promise<Client> => {
  const one = await client(`/v1/ws?token=${token}`);
  one.say({ type: 'watch', topic: TOPIC, ...message });
  await expect.poll(() => one.said.some(({ type }) => type === 'watching')).toBe(true);
  return one;
};
const tell = async (n: number, camera: string | null = 'line-1'): Promise<void> => {
  await h.db.transaction().execute((tx) => events.append(tx, { topic: TOPIC, camera, at: clock.now(), body: { n } }));
};

test('[SD-56] the first message shows the token; header, query and sub-protocol do, too', async () => {
  const expires_at = new Date(clock.now() + 8 * 3_600_000).toISOString();
  const first = await client('/api/v1/ws');
  first.say({ type: 'auth', token });
  await first.last({ type: 'authenticated', expires_at });
  await (await client(`/v1/ws?token=${token}`)).last({ type: 'authenticated' });
  const browser = await client('/v1/ws', [`bearer.${token}`]);
  await browser.last({ type: 'authenticated' });
  expect(browser.socket.protocol).toBe(`bearer.${token}`);
  expect((await h.metrics.sockets.get()).values[0]?.value).toBe(3);
});

test('[SD-56] without a token, with a wrong one and with none in time it closes with 4401', async () => {
  const rude = await client();
  rude.say({ type: 'watch', topic: TOPIC });
  await rude.ends(4401);
  const wrong = await client();
  wrong.say({ type: 'auth', token: 'wrong' });
  await wrong.ends(4401);
  await (await client('/v1/ws?token=wrong')).ends(4401);
  const silent = await client();
  clock.advance(5_000);
  await silent.ends(4401);
  await expect.poll(async () => { clock.advance(200); return (await h.db.selectFrom('audit').selectAll().where('target', '=', '/v1/ws').where('result', '=', 'denied').execute()).length; }).toBeGreaterThan(0);
});

test('[SD-56] events come as they happen, each once, in order, of all cameras or one', async () => {
  await tell(1);
  const all = await watching();
  const one = await watching({ camera: 'line-2' });
  for (const [n, camera] of [[2, 'line-1'], [3, 'line-2'], [4, null], [5, 'line-2']] as const) await tell(n, camera);
  clock.advance(500);
  await expect.poll(() => all.numbers).toEqual([2, 3, 4, 5]);
  await expect.poll(() => one.numbers).toEqual([3, 5]);
  expect(all.said.at(-1)).toMatchObject({ type: 'event', topic: TOPIC, event: { n: 5, event_id: expect.any(String) as string } });
});

test('[SD-56] who comes back with the last cursor misses nothing; what was deleted meanwhile is told', async () => {
  const first = await watching();
  await tell(1);
  clock.advance(500);
  await expect.poll(() => first.numbers).toEqual([1]);
  const [seen] = first.said.flatMap((message) => (message.type === 'event' ? [message.cursor] : []));
  first.socket.terminate();
  for (let n = 2; n < 300; n++) await tell(n);
  const again = await watching({ after: seen });
  await expect.poll(() => again.numbers).toEqual(Array.from({ length: 298 }, (_, i) => i + 2));
  expect(again.said.some(({ type }) => type === 'missed')).toBe(false);

  clock.advance(3_600_001);
  await tell(300);
  expect(await events.deletePast(clock.now(), 1_000)).toBe(299);
  const late = await watching({ after: seen });
  await expect.poll(() => late.numbers).toEqual([300]);
  expect(late.said.map(({ type }) => type)).toEqual(['authenticated', 'watching', 'missed', 'event']);
});

test('[SD-56] all that there was is gone: it is told once, and what comes next comes', async () => {
  await tell(1);
  await tell(2);
  clock.advance(3_600_001);
  expect(await events.deletePast(clock.now(), 1_000)).toBe(2);
  const late = await watching({ after: '0' });
  await late.last({ type: 'missed', topic: TOPIC, camera: null });
  await tell(3);
  clock.advance(500);
  await expect.poll(() => late.numbers).toEqual([3]);
  expect(late.said.filter(({ type }) => type === 'missed')).toHaveLength(1);
});

test('[SD-56] what is not understood is answered, and the socket stays; no event is told after unwatch', async () => {
  const one = await watching();
  for (const [message, code] of [
    ['{', 'NOT_JSON'], [{ type: 'watch', execution_id: 'e' }, 'BAD_MESSAGE'], [{ type: 'watch', topic: TOPIC, after: '99' }, 'CURSOR_UNKNOWN'],
  ] as const) {
    one.say(message);
    await one.last({ type: 'error', code });
  }
  one.socket.send(Buffer.from([1]), { binary: true });
  await one.last({ type: 'error', code: 'NOT_TEXT' });
  one.say({ type: 'unwatch', topic: TOPIC });
  await one.last({ type: 'unwatched', topic: TOPIC, camera: null });
  await tell(1);
  clock.advance(1_000);
  one.say({ type: 'unwatch', topic: TOPIC, camera: 'line-1' }); // not watched: no error
  await one.last({ type: 'unwatched', camera: 'line-1' });
  expect(one.numbers).toEqual([]);
});

test('[SD-56] more messages than a minute allows, and a message too long, close it', async () => {
  const busy = await client(`/v1/ws?token=${token}`);
  await busy.last({ type: 'authenticated' });
  for (let i = 0; i < 101; i++) {
    busy.say('{}');
    if (i % 20 === 19) await expect.poll(() => busy.said.length).toBe(i + 2); // it reads each before the next come
  }
  await busy.ends(4429);
  const long = await client(`/v1/ws?token=${token}`);
  long.say('x'.repeat(20_000));
  await long.ends(1009);
  const many = await watching();
  for (let i = 0; i < 32; i++) {
    many.say({ type: 'watch', topic: TOPIC, camera: `line-${String(i)}` });
    await expect.poll(() => many.said.length).toBe(i + 3);
  }
  await many.last({ type: 'error', code: 'TOO_MANY_WATCHES' });
});

test('[SD-56] all that a socket may watch can be asked for at once', async () => {
  const one = await client(`/v1/ws?token=${token}`);
  for (let i = 0; i < 32; i++) one.say({ type: 'watch', topic: TOPIC, camera: `line-${String(i)}` });
  await expect.poll(() => one.said.filter(({ type }) => type === 'watching').length).toBe(32);
});

test('[SD-56] who watches a camera that tells nothing does not keep others waiting while a long topic is read', async () => {
  const events = Array.from({ length: 500 }, (_, i) => ({ topic: TOPIC, camera_id: 'line-1', at_ms: i, body: '{}' }));
  for (let i = 0; i < 40; i++) await h.db.insertInto('events').values(events).execute();
  let turns = 0;
  let ended = false;
  const count = (): void => { turns++; if (!ended) setImmediate(count); };
  const one = await watching({ after: '0' }); // all of it comes
  await expect.poll(() => one.said.length, { timeout: 20_000 }).toBeGreaterThan(20_000);
  const read = vi.spyOn(EventService.prototype, 'read');
  setImmediate(count);
  await watching({ camera: 'zzz', after: '0' });
  await expect.poll(() => read.mock.calls.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(201);
  ended = true;
  read.mockRestore();
  expect(turns).toBeGreaterThanOrEqual(200); // others had their turn between any two reads
});

test('[SD-56] a user has so many sockets, and shows no other user’s token on one', async () => {
  const many = await Promise.all(Array.from({ length: 64 }, () => client(`/v1/ws?token=${token}`)));
  await expect.poll(() => many.every(({ said }) => said[0]?.type === 'authenticated')).toBe(true);
  await (await client(`/v1/ws?token=${token}`)).ends(4429);
  expect((await h.call('POST', '/v1/users', { token, json: { username: 'eve', password: 'a long password', role: 'viewer' } })).status).toBe(201);
  const { access_token: other } = await h.login('eve', 'a long password');
  const eve = await client(`/v1/ws?token=${other}`);
  await eve.last({ type: 'authenticated' });
  eve.say({ type: 'auth', token: other });
  await expect.poll(() => eve.said.length).toBe(2);
  eve.say({ type: 'auth', token });
  await eve.ends(4401);
});

test('[SD-56] a token that is revoked ends the socket at once, one that expires within 20 s', async () => {
  const one = await watching();
  const { access_token: other } = await h.login();
  const two = await client(`/v1/ws?token=${other}`);
  await two.last({ type: 'authenticated' });
  expect((await h.call('POST', '/v1/auth/logout', { token })).status).toBe(204);
  await one.ends(4401);
  expect(two.closed).toBeNull();
  clock.step(8 * 3_600_000);
  expect(two.closed).toBeNull();
  clock.advance(20_000);
  await two.ends(4401);
});

test('a client that answers no ping is ended', async () => {
  const dead = await client(`/v1/ws?token=${token}`);
  await dead.last({ type: 'authenticated' });
  dead.socket.pause();
  clock.advance(20_000);
  clock.advance(20_000);
  await expect.poll(async () => (await h.metrics.sockets.get()).values[0]?.value).toBe(0);
});

test('when the server stops, clients are told so', async () => {
  const one = await watching();
  await h.api[Symbol.asyncDispose]();
  await one.ends(1001);
});

test('[SD-56] GET /v1/events lists the same, from any cursor, to those who may', async () => {
  interface Page { items: { cursor: string; event: { n: number } }[]; next_cursor: string | null; missed: boolean }
  for (const [n, camera] of [[1, 'line-1'], [2, 'line-2'], [3, 'line-1']] as const) await tell(n, camera);
  const get = (query: string, as = token) => h.call<Page>('GET', `/v1/events?${query}`, { token: as });
  const first = (await get(`topic=${TOPIC}&limit=2`)).body;
  expect([first.items.map(({ event }) => event.n), first.missed]).toEqual([[1, 2], false]);
  const rest = (await get(`topic=${TOPIC}&limit=2&cursor=${first.next_cursor ?? ''}`)).body;
  expect([rest.items.map(({ event }) => event.n), rest.next_cursor, rest.missed]).toEqual([[3], null, false]);
  expect((await get(`topic=${TOPIC}&camera=line-2`)).body.items.map(({ event }) => event.n)).toEqual([2]);
  clock.advance(3_600_001);
  await events.deletePast(clock.now(), 1);
  expect((await get(`topic=${TOPIC}&cursor=0`)).body).toMatchObject({ missed: true, items: [{ event: { n: 2 } }, { event: { n: 3 } }] });
  for (const query of ['', 'topic=none', `topic=${TOPIC}&cursor=x`, `topic=${TOPIC}&cursor=99999`, `topic=${TOPIC}&limit=0`]) expect([query, (await get(query)).status]).toEqual([query, 400]);
  expect((await h.call('GET', `/v1/events?topic=${TOPIC}`)).status).toBe(401);
});
