import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import { writePli } from '../../core/rtp/rtcp-writer.ts';
import { isRtcp } from '../../core/rtp/packet.ts';
import { rtpPacket } from '../../core/rtp/testing.ts';
import { parseWebRtcOffer, isDataChannel } from '../../core/sdp/offer.ts';
import { chooseCodec } from '../../core/sdp/negotiate.ts';
import { writeAnswer } from '../../core/sdp/answer.ts';
import { silentLogger } from '../../platform/logging.ts';
import { NdcEngine } from '../../transport/webrtc/ndc-engine.ts';
import type { DataLane, WebRtcPeer } from '../../transport/webrtc/port.ts';
import { OfferingClient } from '../../transport/webrtc/testing/offering-client.ts';

let engine: NdcEngine;
beforeEach(async () => {
  engine = await NdcEngine.start({ port: 0, bind: '127.0.0.1', additionalHosts: ['192.0.2.200'], clock: systemClock, logger: silentLogger() });
});
afterEach(() => engine[Symbol.asyncDispose]());

/** Answers a client's offer the way WHIP (`receive`) or WHEP (`send`) does. */
const connect = async (client: OfferingClient, how: 'send' | 'receive', accepted?: (peer: WebRtcPeer) => void, answered?: () => void): Promise<WebRtcPeer> => {
  const text = await client.offer();
  const offer = parseWebRtcOffer(text);
  const section = offer.media[0];
  const codec = section && chooseCodec(section, 'h264');
  if (!section || !codec) throw new Error('the client offers H.264');
  const track = { mid: '0', kind: 'video' as const, payloadType: codec.payloadType, rtpmap: codec.rtpmap, fmtp: codec.fmtp };
  const peer = await engine.accept({
    name: 'test', offer: text, clientAddress: null, dataChannels: offer.media.some(isDataChannel),
    receive: how === 'receive' ? track : null,
    send: how === 'send' ? [{ ...track, ssrc: 77, rtxSsrc: null }] : [],
  });
  accepted?.(peer);
  client.answer(writeAnswer(offer.media.map((media) => (isDataChannel(media)
    ? { type: 'data' as const, offer: media }
    : { type: 'media' as const, offer: media, codec, direction: how === 'send' ? 'sendonly' as const : 'recvonly' as const, feedback: [], extensions: [],
      source: how === 'send' ? { ssrc: 77, rtxSsrc: null, cname: 'c', stream: 's', track: 't' } : null })), peer.transport));
  answered?.();
  await Promise.all([client.until(() => client.track.isOpen()), become(peer, 'connected')]);
  return peer;
};

/** Holds this thread, so that nothing native code says is heard. */
const spin = (ms: number, done = (): boolean => false): void => {
  const until = performance.now() + ms;
  while (performance.now() < until && !done());
};

const become = (peer: WebRtcPeer, wanted: string): Promise<void> =>
  new Promise((resolve) => {
    if (peer.state === wanted) { resolve(); return; }
    peer.onState((state) => { if (state === wanted) resolve(); });
  });

test('a publisher is received: RTP of any SSRC comes as sent, RTCP goes back, data channels work both ways', async () => {
  await using client = new OfferingClient({ direction: 'SendOnly', dataChannel: 'telemetry' });
  const peer = await connect(client, 'receive');
  expect(peer.transport.setup).toBe('passive');
  expect(peer.transport.candidates).toEqual([
    expect.stringMatching(new RegExp(`127\\.0\\.0\\.1 ${String(engine.port)} typ host`)),
    expect.stringMatching(new RegExp(`192\\.0\\.2\\.200 ${String(engine.port)} typ host`)),
  ]);

  const sent = [rtpPacket(Buffer.from('one'), { ssrc: 1234 }).bytes, rtpPacket(Buffer.from('two'), { ssrc: 999, payloadType: 111 }).bytes];
  const got: Buffer[] = [];
  const both = new Promise<void>((resolve) => { peer.onPacket((packet) => { if (!isRtcp(packet) && got.push(packet) === 2) resolve(); }); });
  for (const packet of sent) client.send(packet);
  await both;
  expect(got.map((b) => b.toString('hex'))).toEqual(sent.map((b) => b.toString('hex')));

  expect(peer.sendRtcp(writePli(1, 1234))).toBe(true);
  await client.until(() => client.packets.some((packet) => packet[1] === 206));

  const opened = new Promise<string>((resolve) => { peer.onDataLane((lane) => { lane.onMessage((message) => { lane.send(`echo ${String(message)}`); resolve(lane.label); }); }); });
  await client.until(() => client.channel?.isOpen() ?? false);
  client.channel?.sendMessage('hello');
  expect(await opened).toBe('telemetry');
  await client.until(() => client.messages.includes('echo hello'));
  peer[Symbol.dispose]();
});

test('a viewer is sent to: RTP out, RTCP in, and a data channel the server opens', async () => {
  await using client = new OfferingClient({ direction: 'RecvOnly', dataChannel: 'own' });
  let lane: DataLane | undefined;
  const peer = await connect(client, 'send', (accepted) => { lane = accepted.createDataLane('detections'); });
  if (!lane) throw new Error('a lane was made');
  const track = peer.tracks[0];
  if (!track) throw new Error('one track was planned');
  const rtcp = new Promise<Buffer>((resolve) => { track.onRtcp((packet) => { if (packet[1] === 206) resolve(packet); }); });
  await new Promise<void>((resolve) => { track.onOpen(resolve); });
  expect(track.send(rtpPacket(Buffer.from('picture'), { ssrc: 77 }).bytes)).toBe(true);
  await client.until(() => client.packets.some((packet) => packet.includes('picture')));
  client.send(writePli(5, 77));
  expect((await rtcp).readUInt32BE(8)).toBe(77);
  await new Promise<void>((resolve) => { lane?.onOpen(resolve); });
  lane.send('{"type":"timeline"}');
  await client.until(() => client.messages.includes('{"type":"timeline"}'));
  peer[Symbol.dispose]();
  expect([track.send(Buffer.alloc(20)), lane.send('x'), lane.bufferedBytes, peer.sendRtcp(Buffer.alloc(12))]).toEqual([false, false, 0, false]);
});

test('a client that closes is noticed at once, and its native side is freed', async () => {
  // libdatachannel says good-bye (DTLS close_notify) only when it has data channels; browsers always do
  const client = new OfferingClient({ direction: 'SendOnly', dataChannel: 'telemetry' });
  const peer = await connect(client, 'receive');
  const closed = become(peer, 'closed');
  await client[Symbol.asyncDispose]();
  await closed;
});

test('an exception in a listener is logged, not the end of the process', async () => {
  await using client = new OfferingClient({ direction: 'SendOnly' });
  const peer = await connect(client, 'receive');
  let calls = 0;
  const second = new Promise<void>((resolve) => { peer.onPacket(() => { if (++calls > 1) resolve(); throw new Error('a bug'); }); });
  client.send(rtpPacket(Buffer.from('1')).bytes);
  client.send(rtpPacket(Buffer.from('2'), { sequenceNumber: 1 }).bytes);
  await second;
  peer[Symbol.dispose]();
});

test('hostile offers are refused and leave no peer behind', async () => {
  const good = await (async () => { await using client = new OfferingClient({ direction: 'SendOnly' }); return await client.offer(); })();
  const receive = { mid: '0', kind: 'video' as const, payloadType: 96, rtpmap: 'H264/90000', fmtp: null };
  const variants = [
    '', 'v=0', 'not sdp at all', good.slice(0, 200), good.replaceAll(/a=fingerprint:.*/g, 'a=fingerprint:sha-256 AA:BB'),
    good.replaceAll('a=fingerprint:sha-256', 'a=fingerprint:sha-999'), good.replaceAll(/a=ice-pwd:.*/g, 'a=ice-pwd:x'), good.replaceAll('actpass', 'holdconn'), good.repeat(100),
  ];
  for (const offer of variants) await expect(engine.accept({ name: 'bad', offer, clientAddress: null, send: [], receive, dataChannels: false }), offer.slice(0, 80)).rejects.toBeInstanceOf(MediaError);
});

test('random bytes on the UDP port do no harm', async () => {
  const socket = createSocket('udp4');
  for (let i = 0; i < 500; i++) {
    const junk = randomBytes(1 + (i % 300));
    if (i % 3 === 0) Buffer.from([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]).copy(junk); // begins like STUN
    if (i % 3 === 1) junk[0] = 22; // like DTLS
    await new Promise((resolve) => { socket.send(junk, engine.port, '127.0.0.1', resolve); });
  }
  socket.close();
  await using client = new OfferingClient({ direction: 'SendOnly' });
  const peer = await connect(client, 'receive');
  peer[Symbol.dispose]();
});

test('a port that is taken is an error, not the end of the process', async () => {
  await expect(NdcEngine.start({ port: engine.port, bind: '127.0.0.1', additionalHosts: [], clock: systemClock, logger: silentLogger() })).rejects.toThrow(String(engine.port));
});

test('a data channel that is closed on its way to JavaScript does not keep its peer for ever', async () => {
  const client = new OfferingClient({ direction: 'SendOnly', dataChannel: 'telemetry' });
  const lanes: boolean[] = [];
  const closeWhileQueued = (): void => {
    spin(10_000, () => client.channel?.isOpen() === true); // native threads connect and hand the channel over; nobody takes it
    spin(200);
    client.channel?.close();
    spin(200);
  };
  const peer = await connect(client, 'receive', (accepted) => { accepted.onDataLane((lane) => { lanes.push(lane.isOpen); }); }, closeWhileQueued);
  await expect.poll(() => lanes).toEqual([false]); // or the test has not made what it is about
  peer[Symbol.dispose]();
  await client[Symbol.asyncDispose]();
  await expect.poll(() => engine.peerCount).toBe(0);
});

test('after dispose nothing keeps the process alive', async () => {
  const script = new URL('../fixtures/webrtc/connect-and-exit.ts', import.meta.url);
  const { stdout } = await promisify(execFile)(process.execPath, [script.pathname], { timeout: 30_000 });
  expect(stdout).toBe('connected\ndisposed\n');
});
