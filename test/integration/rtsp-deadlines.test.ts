import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { parseRtcp } from '../../core/rtp/rtcp.ts';
import { writeSenderReport } from '../../core/rtp/rtcp-writer.ts';
import { writeRtpHeader } from '../../core/rtp/packet.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { BASIC, H264, RawClient, sdp, sessionOf, startHarness, TCP, URI } from './rtsp-harness.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const setUp = async () => {
  const clock = new FakeClock();
  const harness = stack.use(await startHarness({ clock }));
  const client = stack.use(await RawClient.open(harness.server));
  while (harness.server.connections === 0) await setImmediate();
  return { clock, client, ...harness };
};
const interleaved = (channel: number, payload: Buffer): Buffer => Buffer.concat([Buffer.from([0x24, channel, 0, payload.length]), payload]);

/** A picture that is an IDR with its parameter sets, one packet (STAP-A). */
const picture = (sequenceNumber: number, timestamp: number): Buffer => {
  const nals = ['6764001facd9405005ba10000003001000000303c0f1831960', '68ebecb22c', '658888'].map((hex) => Buffer.from(hex, 'hex'));
  const header = Buffer.alloc(12);
  writeRtpHeader(header, { marker: true, payloadType: 96, sequenceNumber, timestamp, ssrc: 42 });
  return Buffer.concat([header, Buffer.from([0x78]), ...nals.flatMap((nal) => [Buffer.from([0, nal.length]), nal])]);
};
const record = async (client: RawClient): Promise<string> => {
  await client.ask('ANNOUNCE', URI, [BASIC], sdp(...H264));
  const session = sessionOf(await client.ask('SETUP', `${URI}/streamid=0`, [TCP('0-1')]));
  expect(await client.ask('RECORD', URI, [session])).toContain(' 200 ');
  return session;
};

describe('an RTSP connection', () => {
  test('ends when it asks nothing for 10 s', async () => {
    const { clock, client, server } = await setUp();
    clock.advance(9_000);
    expect(server.connections).toBe(1);
    clock.advance(1_000);
    await once(client.socket, 'close');
  });

  test('ends when it is idle for 30 s before it records', async () => {
    const { clock, client, server } = await setUp();
    clock.advance(5_000);
    await client.ask('OPTIONS', '*');
    clock.advance(29_000);
    await client.ask('OPTIONS', '*');
    clock.advance(29_000);
    expect(server.connections).toBe(1);
    clock.advance(1_000);
    await once(client.socket, 'close');
  });

  test('[ING-9] of a publisher who sends no picture is closed, and waited for', async () => {
    const { clock, client, stream } = await setUp();
    await record(client);
    clock.advance(10_000);
    await once(client.socket, 'close');
    expect(stream.session).toMatchObject({ phase: 'interrupted', reason: 'no picture within 10 s of publishing' });
  });

  test('[ING-7] brings a receiver report every 5 s while it records', async () => {
    const { clock, client, stream, untilUnits, units } = await setUp();
    await record(client);
    client.socket.write(interleaved(1, writeSenderReport({ ssrc: 42, ntp: clock.now() - 500, rtpTs: 0, packets: 0, octets: 0 })));
    client.socket.write(Buffer.concat([interleaved(0, picture(65_535, 0)), interleaved(0, picture(2, 9_000))]));
    await untilUnits(2);
    expect(units[0]?.frame.captureNtp).toBeCloseTo(clock.now() - 500, 0);
    const answered = once(client.socket, 'data') as Promise<[Buffer]>;
    clock.advance(5_000);
    const [frame] = await answered;
    expect([frame[0], frame[1], frame.readUInt16BE(2)]).toEqual([0x24, 1, frame.length - 4]);
    expect(parseRtcp(frame.subarray(4))).toMatchObject([
      { type: 'rr', reports: [{ ssrc: 42, highestSequence: 0x1_0002, cumulativeLost: 2, fractionLost: 128, delaySinceLastSr: 5 * 65_536 }] },
      { type: 'sdes', chunks: [{ cname: 'imageflow-edge' }] },
    ]);
    expect(stream.stats()).toMatchObject({ packets: 2, lostPackets: 2, accessUnits: 2, width: 1280 });
  });
});
