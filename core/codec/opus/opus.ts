/** Opus packets (RFC 6716 §3.1) and their MP4 sample entry box (Encapsulation of Opus in ISO Base Media File Format §4.3.2). */
import type { OpusTrack } from '../../track.ts';

/** Samples at 48 kHz per frame, by the configuration number of the TOC byte (RFC 6716 Table 2). */
const frameSamples = (config: number): number => {
  if (config < 12) return [480, 960, 1_920, 2_880][config & 3] ?? 0; // SILK: 10, 20, 40, 60 ms
  if (config < 16) return [480, 960][config & 1] ?? 0; // hybrid: 10, 20 ms
  return [120, 240, 480, 960][config & 3] ?? 0; // CELT: 2.5, 5, 10, 20 ms
};

/** Duration of a packet in samples at 48 kHz; 0 when it is empty or says more than the 120 ms that RFC 6716 §3.2.5 allows. */
export const opusPacketSamples = (packet: Uint8Array): number => {
  const toc = packet[0];
  if (toc === undefined) return 0;
  const code = toc & 3;
  const frames = code === 0 ? 1 : code < 3 ? 2 : (packet[1] ?? 0) & 0x3f;
  const samples = frames * frameSamples(toc >> 3);
  return samples <= 5_760 ? samples : 0;
};

/** Body of the `dOps` box: channel mapping family 0 (mono or stereo). */
export const opusDecoderConfig = (track: OpusTrack, preSkip = 312, inputSampleRate = 48_000): Buffer => {
  const body = Buffer.alloc(11);
  body[1] = track.channels; // body[0]: version 0
  body.writeUInt16BE(preSkip, 2);
  body.writeUInt32BE(inputSampleRate, 4);
  return body; // output gain 0, mapping family 0
};

/** Opus over RTP is always announced as 2 channels at 48 kHz (RFC 7587 §7); `channels` is what the encoder sends. */
export const opusTrack = (channels = 2): OpusTrack => ({ kind: 'audio', codec: 'opus', clockRate: 48_000, channels, codecString: 'opus' });
