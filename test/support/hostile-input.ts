/** Input nobody means well with. All of it follows from a seed. */
import { createSocket } from 'node:dgram';
import { setImmediate } from 'node:timers/promises';
import { PUBLISH_OFFER } from './doors.ts';

export type Random = () => number;

export const bytes = (random: Random, length: number): Buffer => Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
export const below = (random: Random, end: number): number => Math.floor(random() * end);

/** Some bytes changed, a piece cut out, a piece said twice, or the end missing. */
export const mutate = (random: Random, text: string): string => {
  const data = Buffer.from(text);
  const [at, length] = [below(random, data.length), 1 + below(random, 60)];
  switch (below(random, 4)) {
    case 0: for (let i = 0; i < 4; i++) data[below(random, data.length)] = below(random, 256); return data.toString('latin1');
    case 1: return Buffer.concat([data.subarray(0, at), data.subarray(at + length)]).toString('latin1');
    case 2: return Buffer.concat([data.subarray(0, at + length), data.subarray(at)]).toString('latin1');
    default: return data.subarray(0, at).toString('latin1');
  }
};

/** What `edit` makes of each line of an offer that begins with `start`. */
const lines = (start: string, edit: (line: string) => string): string => PUBLISH_OFFER.split('\r\n').map((line) => (line.startsWith(start) ? edit(line) : line)).join('\r\n');
const hex = (pairs: number): string => Array.from({ length: pairs }, () => 'AB').join(':');

/** Offers that are wrong in one way each, and must be refused. */
export const BROKEN_OFFERS: Readonly<Record<string, string>> = {
  'nothing': '',
  'a line': 'v=0',
  'no SDP': 'garbage\r\n'.repeat(50),
  'zeros': '\0'.repeat(1000),
  'cut behind the session': PUBLISH_OFFER.slice(0, PUBLISH_OFFER.indexOf('m=')),
  'cut in a section': PUBLISH_OFFER.slice(0, PUBLISH_OFFER.indexOf('a=fingerprint')),
  'a fingerprint of one byte': lines('a=fingerprint', () => 'a=fingerprint:sha-256 AB'),
  'a fingerprint of another length': lines('a=fingerprint', () => `a=fingerprint:sha-256 ${hex(31)}`),
  'a fingerprint that is no hexadecimal': lines('a=fingerprint', () => `a=fingerprint:sha-256 ${hex(32).replaceAll('A', 'X')}`),
  'an unknown fingerprint algorithm': lines('a=fingerprint', () => `a=fingerprint:sha-9999 ${hex(32)}`),
  'no fingerprint': lines('a=fingerprint', () => 'a=x'),
  'a ufrag of 400 characters': lines('a=ice-ufrag', () => `a=ice-ufrag:${'u'.repeat(400)}`),
  'a ufrag of two characters': lines('a=ice-ufrag', () => 'a=ice-ufrag:uu'),
  'a ufrag with spaces': lines('a=ice-ufrag', () => 'a=ice-ufrag:u u u u'),
  'a password of 400 characters': lines('a=ice-pwd', () => `a=ice-pwd:${'p'.repeat(400)}`),
  'no password': lines('a=ice-pwd', () => 'a=x'),
  'a mid of 400 characters': lines('a=mid', (line) => line + 'm'.repeat(400)),
  'the same mid twice': lines('a=mid', () => 'a=mid:0'),
  'an unknown role': lines('a=setup', () => 'a=setup:everything'),
  'a payload type of 999': lines('a=rtpmap', (line) => line.replace(/:\d+/, ':999')),
  'a clock rate of zero': lines('a=rtpmap', (line) => line.replace(/\/\d+/, '/0')),
  'an SSRC beyond 32 bits': lines('a=ssrc', (line) => line.replace(/:\d+/, ':99999999999')),
  'no codec of ours': lines('a=rtpmap', (line) => line.replace(/ [\w-]+\//, ' NONE/')),
  'no media of ours': PUBLISH_OFFER.replaceAll(/^m=(audio|video)/gm, 'm=smell'),
  'only what it wants to receive': PUBLISH_OFFER.replaceAll('a=sendonly', 'a=recvonly'),
};

/** RTP and RTCP that is cut, lies about its lengths, or is none. `payloadType` and `ssrc` are those of a track, so that it is looked at. */
export const hostilePacket = (random: Random, payloadType: number, ssrc: number): Buffer => {
  const header = (first: number): Buffer => {
    const head = Buffer.from([first, payloadType | (random() < 0.5 ? 0x80 : 0), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    head.writeUInt16BE(below(random, 65536), 2);
    head.writeUInt32BE(below(random, 2 ** 32), 4);
    head.writeUInt32BE(ssrc, 8);
    return head;
  };
  const size = random() < 0.1 ? 1400 : below(random, 200);
  switch (below(random, 10)) {
    case 0: return bytes(random, size);
    case 1: return header(0x80).subarray(0, below(random, 13));
    case 2: return Buffer.concat([header(0x8f), bytes(random, below(random, 60))]); // 15 sources
    case 3: return Buffer.concat([header(0x90), Buffer.from([0xbe, 0xde, 0xff, 0xff]), bytes(random, size)]); // an extension of 256 KiB
    case 4: return Buffer.concat([header(0xa0), bytes(random, size), Buffer.from([0xff])]); // padding
    case 5: return Buffer.concat([header(0x80), Buffer.from([0x78, 0xff, 0xff]), bytes(random, size)]); // STAP-A
    case 6: return Buffer.concat([header(0x80), Buffer.from([0x7c, below(random, 256)]), bytes(random, size)]); // FU-A
    case 7: return Buffer.concat([header(0x80), Buffer.from([0x67]), bytes(random, size)]); // parameter sets
    case 8: return Buffer.concat([Buffer.from([0x80 | below(random, 32), 200 + below(random, 8), 0xff, 0xff]), bytes(random, size)]); // RTCP
    default: return Buffer.concat([header(0x80), Buffer.from([0x65]), bytes(random, size)]); // a picture
  }
};

/** Datagrams as the first byte would have them sorted: STUN, DTLS, RTP, and none (RFC 7983), of any size there can be. */
export const floodUdp = async (random: Random, port: number, count: number): Promise<void> => {
  const sockets = Array.from({ length: 4 }, () => createSocket('udp4'));
  const FIRST = [0x00, 0x01, 0x16, 0x14, 0x80, 0x90, 0xff];
  try {
    for (let i = 0; i < count; i++) {
      const data = bytes(random, i % 200 === 0 ? 65_000 : below(random, 600));
      if (data.length > 0) data[0] = FIRST[below(random, FIRST.length)] ?? 0;
      if (i % 3 === 0 && data.length >= 20) {
        data[0] = 0; data[1] = 1; // a binding request that has the cookie and lies about its length
        data.writeUInt16BE(below(random, 65536), 2);
        data.writeUInt32BE(0x2112a442, 4);
      }
      await new Promise<void>((resolve) => { sockets[i % sockets.length]?.send(data, port, '127.0.0.1', () => { resolve(); }); });
      if (i % 64 === 0) await setImmediate();
    }
  } finally {
    for (const socket of sockets) socket.close();
  }
};

/** WebSocket frames a server must not take (RFC 6455 §5, §7.4.1, §8.1). A client masks; `frame` does, with zeros. */
const frame = (first: number, payload: Buffer, length = payload.length): Buffer => {
  const head = length < 126 ? Buffer.from([first, 0x80 | length]) : Buffer.from([first, 0x80 | 126, length >> 8, length & 0xff]);
  return Buffer.concat([head, Buffer.alloc(4), payload]);
};
export const BROKEN_FRAMES: Readonly<Record<string, Buffer>> = {
  'not masked': Buffer.from([0x81, 0x02, 0x68, 0x69]),
  'reserved bits': frame(0xf1, Buffer.from('hi')),
  'a reserved opcode': frame(0x83, Buffer.from('hi')),
  'a continuation of nothing': frame(0x80, Buffer.from('hi')),
  'a ping in pieces': frame(0x09, Buffer.from('hi')),
  'a ping of 200 bytes': frame(0x89, Buffer.alloc(200)),
  'text that is no UTF-8': frame(0x81, Buffer.from([0xc3, 0x28, 0xff])),
  'a close code nobody may send': frame(0x88, Buffer.from([0x03, 0xed])),
  'a length of 2^63': Buffer.concat([Buffer.from([0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Buffer.alloc(100)]),
  'a message over the limit': frame(0x81, Buffer.alloc(20_000, 0x61)),
  'a message that is no JSON': frame(0x81, Buffer.from('{"type":"auth","token":')),
  'a message of another shape': frame(0x81, Buffer.from('[[[[]]]]')),
};
