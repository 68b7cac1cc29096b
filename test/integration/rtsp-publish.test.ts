import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import type { AccessUnit } from '../../core/access-unit.ts';
import { BASIC, clip, ffmpeg, FOREIGN_KEY, H264, KEY, RawClient, sdp, sessionOf, sha256, start, startHarness, TCP, unitsOf, URI } from './rtsp-harness.ts';
import type { Harness } from './rtsp-harness.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});
const harness = async (options?: Parameters<typeof startHarness>[0]): Promise<Harness> => stack.use(await startHarness(options));

const open = async (server: { readonly port: number }): Promise<RawClient> => stack.use(await RawClient.open(server));

const of = (units: readonly AccessUnit[], kind: AccessUnit['kind']): readonly AccessUnit[] => units.filter((unit) => unit.kind === kind);

const SPEEX = ['m=audio 0 RTP/AVP 97', 'a=rtpmap:97 speex/16000', 'a=control:streamid=1'];

describe('ffmpeg publishes by RTSP', () => {
  test.each(['counter-720p30', 'vtest-720p30-bframes'])('[ING-4] and every access unit of %s arrives unchanged, in order and at its time', async (name) => {
    const { url, units, untilPhase } = await harness();
    const { code, stderr } = await ffmpeg(['-i', clip(name)], url()).done;
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(await untilPhase('ended')).toMatchObject({ protocol: 'rtsp', reason: 'TEARDOWN' });
    const file = await unitsOf(clip(name));
    const rate = 90_000 / (file.timeBases[0] ?? 1);
    expect(units.map(({ data }) => sha256(data))).toEqual(file.units.map(({ hash }) => hash));
    const [first, firstInFile] = [units[0]?.pts ?? 0, file.units[0]?.pts ?? 0];
    file.units.forEach((unit, i) => {
      expect(Math.abs((units[i]?.pts ?? 0) - first - (unit.pts - firstInFile) * rate)).toBeLessThanOrEqual(1);
      expect(Math.abs((units[i]?.dts ?? 0) - first - (unit.dts - firstInFile) * rate)).toBeLessThanOrEqual(1);
    });
    expect(units.map(({ frame }) => frame.seq)).toEqual(units.map((_, i) => i));
    expect(units[0]?.tracks.video).toMatchObject({ width: 1280, height: 720, reorderDepth: name.endsWith('bframes') ? 2 : 0 });
  });

  test('[ING-5] with AAC, in step with the video', async () => {
    const { url, units, untilPhase } = await harness();
    expect((await ffmpeg(['-i', clip('vtest-720p30-aac')], url()).done).code).toBe(0);
    await untilPhase('ended');
    const file = await unitsOf(clip('vtest-720p30-aac'));
    const [video, audio] = [of(units, 'video'), of(units, 'audio')];
    const audioInFile = file.units.filter(({ stream }) => stream === 1);
    expect(video.map(({ data }) => sha256(data))).toEqual(file.units.filter(({ stream }) => stream === 0).map(({ hash }) => hash));
    // What was captured before the first picture is left out; the last few frames never leave ffmpeg's packetiser.
    const skipped = audioInFile.findIndex(({ hash }) => hash === sha256(audio[0]?.data ?? Buffer.alloc(0)));
    expect(skipped).toBeGreaterThanOrEqual(0);
    expect(skipped).toBeLessThanOrEqual(3);
    expect(audio.length).toBeGreaterThan(930);
    expect(audio.map(({ data }) => sha256(data))).toEqual(audioInFile.slice(skipped, skipped + audio.length).map(({ hash }) => hash));
    expect(audio[0]?.tracks.audio).toMatchObject({ codec: 'aac', clockRate: 48_000, channels: 2 });
    const videoStart = (video[0]?.pts ?? 0) / 90;
    for (const [i, unit] of audio.entries()) expect(Math.abs(unit.pts / 48 - videoStart - (audioInFile[skipped + i]?.pts ?? 0) / 48)).toBeLessThan(2);
  });

  test('[ING-6] with the key as ?token= and no user', async () => {
    const { server, units, untilPhase } = await harness();
    const { code } = await ffmpeg(['-i', clip('vtest-720p30-baseline')], `rtsp://127.0.0.1:${String(server.port)}/line-1?token=${KEY}`).done;
    expect(code).toBe(0);
    await untilPhase('ended');
    expect(units).toHaveLength(300);
  });

  test('[ING-6] with Digest where it is asked for', async () => {
    const { url, units, untilPhase } = await harness({ auth: ['digest'] });
    expect((await ffmpeg(['-i', clip('vtest-720p30-baseline')], url('line-1')).done).code).toBe(0);
    await untilPhase('ended');
    expect(units).toHaveLength(300);
  });

  test.each([
    ['[ING-6] a wrong key', 'any', 'wrong', 'tcp', '401'],
    ['[ING-6] the key of another camera', 'any', FOREIGN_KEY, 'tcp', '403'],
    ['[ING-4] UDP', 'any', KEY, 'udp', '461'],
  ])('and is refused with %s', async (_, user, password, transport, status) => {
    const { url, units } = await harness();
    const { code, stderr } = await ffmpeg(['-i', clip('vtest-720p30-baseline')], url(user, password), transport).done;
    expect(code).not.toBe(0);
    expect(stderr).toMatch(status === '461' ? /461|Protocol not supported|Unsupported/ : new RegExp(status));
    expect(units).toEqual([]);
  });

  test('[ING-11] and is refused while too many publish', async () => {
    const { registry, url } = await harness({ maxSessions: 1 });
    const driver = { protocol: 'rtsp' as const, stats: () => ({ bytes: 0, packets: 0, lostPackets: 0, jitterMs: null, rttMs: null, nacksSent: 0, plisSent: 0 }), requestKeyframe: () => undefined, close: () => undefined };
    registry.get('line-2')?.beginPublication(driver);
    const { code, stderr } = await ffmpeg(['-i', clip('vtest-720p30-baseline')], url()).done;
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/453|Not Enough Bandwidth|4XX/i);
  });

  test('[ING-9] and comes back after a kill to the same session with a new epoch', async () => {
    const { url, units, untilUnits, untilPhase } = await harness();
    const first = ffmpeg(['-re', '-i', clip('counter-720p30')], url());
    await untilUnits(10);
    const before = await untilPhase('live');
    first.child.kill('SIGKILL');
    await first.done;
    expect(await untilPhase('interrupted')).toMatchObject({ id: before.id, reason: 'connection closed' });
    const count = units.length;
    const second = ffmpeg(['-re', '-i', clip('vtest-720p30-bframes')], url());
    await untilUnits(count + 10);
    const after = await untilPhase('live');
    expect(after.id).toBe(before.id);
    expect(after.epoch).toBeGreaterThan(before.epoch ?? 0);
    expect(units.map(({ frame }) => frame.seq)).toEqual(units.map((_, i) => i));
    expect(units.at(-1)?.tracks).not.toBe(units[0]?.tracks);
    second.child.kill('SIGKILL');
    await second.done;
  });

  test('[ING-6] and is thrown out within a second when its key is revoked, or its camera removed', async () => {
    const { registry, authorizer, url, untilUnits, untilPhase, sessions } = await harness();
    const first = ffmpeg(['-re', '-i', clip('counter-720p30')], url());
    await untilUnits(5);
    const revokedAt = performance.now();
    for (const listener of authorizer.listeners) listener('k1');
    expect(await untilPhase('interrupted')).toMatchObject({ reason: 'credential revoked' });
    expect(performance.now() - revokedAt).toBeLessThan(1_000);
    expect((await first.done).code).not.toBe(0);
    const second = ffmpeg(['-re', '-i', clip('counter-720p30')], url());
    await untilPhase('live');
    registry.remove('line-1');
    expect(sessions.at(-1)).toMatchObject({ phase: 'ended', reason: 'camera removed' });
    expect((await second.done).code).not.toBe(0);
  });
});

describe('GStreamer publishes by RTSP', () => {
  test('[ING-4] with rtspclientsink', async () => {
    const { server, units, untilUnits } = await harness();
    const gst = start('gst-launch-1.0', ['-q', 'filesrc', `location=${clip('vtest-720p30-baseline')}`, '!', 'qtdemux', '!', 'h264parse', '!', 'rtspclientsink', 'protocols=tcp', 'user-id=any', `user-pw=${KEY}`, `location=rtsp://127.0.0.1:${String(server.port)}/line-1`]);
    await Promise.race([untilUnits(60), gst.done.then(({ stderr }) => { throw new Error(stderr); })]);
    gst.child.kill('SIGINT');
    await gst.done;
    expect(units[0]).toMatchObject({ randomAccess: true, tracks: { video: { width: 1280, height: 720 } } });
    expect(units.slice(1, 60).every((unit, i) => Math.abs(unit.pts - (units[i]?.pts ?? 0) - 3_000) <= 1)).toBe(true);
  });
});

describe('a client\'s requests', () => {
  test('[ING-4] are answered as RFC 2326 says', async () => {
    const { server } = await harness();
    const client = await open(server);
    expect(await client.ask('OPTIONS', '*')).toMatch(/^RTSP\/1.0 200 OK\r\nCSeq: 7\r\nPublic: .*ANNOUNCE.*RECORD/);
    expect(await client.ask('SETUP', `${URI}/streamid=0`, [TCP('0-1')])).toContain(' 455 ');
    expect(await client.ask('RECORD', URI)).toContain(' 454 ');
    expect(await client.ask('ANNOUNCE', URI, [], sdp(...H264))).toMatch(/ 401 [\s\S]*WWW-Authenticate: Basic realm=/);
    expect(await client.ask('DESCRIBE', URI)).toContain(' 401 ');
    expect(await client.ask('DESCRIBE', URI, [BASIC])).toContain(' 501 ');
    expect(await client.ask('ANNOUNCE', URI, [BASIC, 'Require: magic'], sdp(...H264))).toMatch(/ 551 [\s\S]*Unsupported: magic/);
    expect(await client.ask('ANNOUNCE', URI, [BASIC], sdp('m=video 0 RTP/AVP 96', 'a=rtpmap:96 H265/90000'))).toContain(' 415 ');
    expect(await client.ask('ANNOUNCE', URI, [BASIC], 'nonsense')).toContain(' 400 ');
    expect(await client.ask('ANNOUNCE', URI, [BASIC], sdp(...H264, ...SPEEX))).toContain(' 200 ');
    expect(await client.ask('ANNOUNCE', URI, [BASIC], sdp(...H264))).toContain(' 455 ');
    expect(await client.ask('SETUP', URI, [TCP('0-1')])).toContain(' 459 ');
    expect(await client.ask('SETUP', `${URI}/streamid=9`, [TCP('0-1')])).toContain(' 404 ');
    expect(await client.ask('SETUP', `${URI}/streamid=0`, ['Transport: RTP/AVP;unicast;client_port=5000-5001;mode=record'])).toContain(' 461 ');
    const setup = await client.ask('SETUP', `${URI}/streamid=0`, [TCP('4-5')]);
    expect(setup).toMatch(/ 200 [\s\S]*Transport: RTP\/AVP\/TCP;unicast;interleaved=4-5;mode=record\r\nSession: \w{16};timeout=60/);
    const session = sessionOf(setup);
    expect(await client.ask('SETUP', `${URI}/streamid=1`, [TCP('4-5'), 'Session: other'])).toContain(' 454 ');
    // Audio that is not understood is set up and then not listened to (ING-5); channels in use are replaced by free ones.
    expect(await client.ask('SETUP', `${URI}/streamid=1`, [TCP('4-5'), session])).toContain('interleaved=0-1');
    expect(await client.ask('RECORD', `${URI}/streamid=0`, [session])).toContain(' 460 ');
    expect(await client.ask('RECORD', URI, [session])).toContain(' 200 ');
    expect(await client.ask('GET_PARAMETER', URI, [session])).toContain(' 200 ');
    expect(await client.ask('GET_PARAMETER', URI, ['Session: other'])).toContain(' 454 ');
    expect(await client.ask('PLAY', URI, [session])).toContain(' 501 ');
    expect(await client.ask('TEARDOWN', URI, [session])).toContain(' 200 ');
    await once(client.socket, 'close');
  });

  test('[ING-6] end with the fifth wrong password', async () => {
    const { server } = await harness();
    const client = await open(server);
    const wrong = `Authorization: Basic ${Buffer.from('any:wrong').toString('base64')}`;
    for (let i = 0; i < 5; i++) expect(await client.ask('ANNOUNCE', URI, [wrong], sdp(...H264))).toContain(' 401 ');
    await once(client.socket, 'close');
  });

  test('[ING-4] for a camera there is not are answered 404 to those who may know', async () => {
    const { server, registry, authorizer } = await harness();
    const client = await open(server);
    registry.remove('line-1');
    expect(await client.ask('ANNOUNCE', URI, [BASIC], sdp(...H264))).toContain(' 404 ');
    expect(authorizer.listeners.size).toBe(1);
  });
});

describe('hostile clients', () => {
  test('leave the server alive and a neighbour\'s stream whole', async () => {
    const { server, url, units, untilPhase } = await harness();
    const neighbour = ffmpeg(['-i', clip('counter-720p30')], url());
    const attack = async (bytes: readonly Buffer[]): Promise<void> => {
      const client = await open(server);
      const closed = once(client.socket, 'close');
      for (const chunk of bytes) client.socket.write(chunk);
      client.socket.end();
      await closed;
    };
    const announce = Buffer.from(`ANNOUNCE ${URI} RTSP/1.0\r\nCSeq: 1\r\n${BASIC}\r\nContent-Type: application/sdp\r\nContent-Length: 40\r\n\r\n`);
    for (let i = 0; i < 40; i++) {
      await attack([randomBytes(1 + i * 97)]);
      await attack([Buffer.from([0x24, i, 0xff, 0xff]), randomBytes(5_000)]);
      await attack([announce, randomBytes(40)]);
      await attack([announce.subarray(0, i * 3)]);
      await attack([Buffer.from('OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n'.repeat(50))]);
    }
    await attack([Buffer.from(`OPTIONS * RTSP/1.0\r\nX: ${'x'.repeat(100_000)}`)]);
    expect((await neighbour.done).code).toBe(0);
    await untilPhase('ended');
    expect(units).toHaveLength(900);
  });

  test('who publish garbage inside a session get nothing published', async () => {
    const { server, units, stream } = await harness();
    const client = await open(server);
    await client.ask('ANNOUNCE', URI, [BASIC], sdp(...H264));
    const session = sessionOf(await client.ask('SETUP', `${URI}/streamid=0`, [TCP('0-1')]));
    await client.ask('RECORD', URI, [session]);
    for (let i = 0; i < 300; i++) {
      const payload = randomBytes(1 + (i % 200));
      if (i % 2 === 0) payload[0] = 0x80;
      if (i % 4 === 0 && payload.length > 1) payload[1] = 96;
      client.socket.write(Buffer.concat([Buffer.from([0x24, i % 3, 0, payload.length]), payload]));
    }
    expect(await client.ask('GET_PARAMETER', URI, [session])).toContain(' 200 ');
    expect(units).toEqual([]);
    expect(stream.session?.phase).toBe('connecting');
  });
});
