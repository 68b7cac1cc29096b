/** A camera whose every unit a test has written down: what it sends when, under which RTP timestamp. By RTSP over TCP, in real time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { H264Packetizer } from '../../core/rtp/h264-packetizer.ts';
import type { AacTrack, H264Track } from '../../core/track.ts';
import { RtspPublication } from '../../demo/rtsp-publication.ts';
import type { PublicationTarget, PublishedMedia } from '../../demo/rtsp-publication.ts';
import { until } from './server.ts';

const MAX_PAYLOAD = 1400;
const VIDEO = 96;
const AUDIO = 97;

export interface ScriptedUnit {
  readonly kind: 'video' | 'audio';
  /** Milliseconds from the beginning; the script is in this order. */
  readonly at: number;
  /** As on the wire; taken modulo 2³². */
  readonly rtpTimestamp: number;
  /** Pictures: NAL units behind 4-byte lengths. */
  readonly data: Buffer;
}

/** Sends the script to its end and says goodbye. `video` and `audio`: what is announced. Throws when the server refuses it. */
export const playScript = async (target: PublicationTarget, announced: { readonly video: H264Track; readonly audio: AacTrack | null }, script: readonly ScriptedUnit[]): Promise<void> => {
  const media = [videoMedia(announced.video), ...(announced.audio ? [audioMedia(announced.audio)] : [])];
  // The edge hears of a new camera's key a moment after it was made.
  using publication = await until('the server takes the camera', () => RtspPublication.start(target, media));
  const packetizer = new H264Packetizer(MAX_PAYLOAD);
  const began = performance.now();
  for (const { kind, at, rtpTimestamp, data } of script) {
    const wait = began + at - performance.now();
    if (wait > 0) await sleep(wait);
    if (kind === 'video') packetizer.packetize(data, (payload, last) => { publication.send(0, payload, last, rtpTimestamp); });
    else publication.send(1, [auHeader(data.length), data], true, rtpTimestamp);
  }
  await publication.teardown();
};

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

const videoMedia = ({ sps, pps }: H264Track): PublishedMedia => ({
  payloadType: VIDEO,
  sdp: [`m=video 0 RTP/AVP ${String(VIDEO)}`, `a=rtpmap:${String(VIDEO)} H264/90000`, `a=fmtp:${String(VIDEO)} packetization-mode=1;sprop-parameter-sets=${base64(sps)},${base64(pps)}`],
});

const audioMedia = ({ clockRate, channels, config }: AacTrack): PublishedMedia => ({
  payloadType: AUDIO,
  sdp: [
    `m=audio 0 RTP/AVP ${String(AUDIO)}`, `a=rtpmap:${String(AUDIO)} mpeg4-generic/${String(clockRate)}/${String(channels)}`,
    `a=fmtp:${String(AUDIO)} streamtype=5;profile-level-id=1;mode=AAC-hbr;config=${Buffer.from(config).toString('hex')};sizelength=13;indexlength=3;indexdeltalength=3`,
  ],
});

/** One AU in the packet, RFC 3640 §3.2.1: 16 bits of headers, 13 of them its size. */
const auHeader = (bytes: number): Buffer => Buffer.from([0, 16, (bytes << 3) >> 8, (bytes << 3) & 0xff]);
