import { expect, test } from 'vitest';
import { MediaError } from '../errors.ts';
import { aacTrack } from '../codec/aac/audio-specific-config.ts';
import { h264Track } from '../codec/h264/track.ts';
import { opusTrack } from '../codec/opus/opus.ts';
import type { Tracks } from '../track.ts';
import { canMux, codecsOf, writeInitSegment } from './init-segment.ts';

/** 1280x720 High, from vtest-720p30.mp4. */
const video = h264Track(Buffer.from('6764001facb200a00b7420000003002000000781e30649', 'hex'), Buffer.from('68ebccb22c', 'hex'));
const vp8 = { kind: 'video', codec: 'vp8', clockRate: 90_000, width: 640, height: 360, codecString: 'vp8', reorderDepth: 0 } as const;
const opus = opusTrack(2);
const aac = aacTrack(Buffer.from('1190', 'hex'));

/** The body of the first box of this type, wherever it is. */
const body = (file: Buffer, type: string): Buffer => {
  const at = file.indexOf(type, 0, 'latin1');
  return file.subarray(at + 4, at - 4 + file.readUInt32BE(at - 4));
};

/** The tree of boxes as text: containers are entered. */
const tree = (file: Buffer, start = 0, end = file.length): string[] => {
  const CONTAINERS = new Set(['moov', 'trak', 'mdia', 'minf', 'dinf', 'stbl', 'mvex']);
  const out: string[] = [];
  let at = start;
  while (at < end) {
    const size = file.readUInt32BE(at);
    const type = file.toString('latin1', at + 4, at + 8);
    out.push(CONTAINERS.has(type) ? `${type}(${tree(file, at + 8, at + size).join(' ')})` : type);
    at += size;
  }
  expect(at).toBe(end);
  return out;
};

const MEDIA = (header: string) => `trak(tkhd mdia(mdhd hdlr minf(${header} dinf(dref) stbl(stsd stts stsc stco stsz))))`;

test.each<{ name: string; tracks: Tracks; shape: string; codecs: string }>([
  { name: 'video and Opus', tracks: { video, audio: opus }, shape: `ftyp moov(mvhd ${MEDIA('vmhd')} ${MEDIA('smhd')} mvex(trex trex))`, codecs: 'avc1.64001f,opus' },
  { name: 'video alone', tracks: { video, audio: null }, shape: `ftyp moov(mvhd ${MEDIA('vmhd')} mvex(trex))`, codecs: 'avc1.64001f' },
  { name: 'AAC alone', tracks: { video: null, audio: aac }, shape: `ftyp moov(mvhd ${MEDIA('smhd')} mvex(trex))`, codecs: 'mp4a.40.2' },
])('[FMP4-5] the init segment of $name has every box a player needs', ({ tracks, shape, codecs }) => {
  expect(tree(writeInitSegment(tracks)).join(' ')).toBe(shape);
  expect(codecsOf(tracks)).toBe(codecs);
});

test('[FMP4-6] H.264 is an avc1 entry with the parameter sets of the track', () => {
  const avcC = body(writeInitSegment({ video, audio: null }), 'avcC').toString('hex');
  const [sps, pps] = [video.sps, video.pps].map((nal) => Buffer.from(nal).toString('hex'));
  expect(avcC).toBe(`0164001fffe10017${sps}010005${pps}fdf8f800`);
});

test('[FMP4-7] Opus tells channels, no pre-skip and 48 kHz; AAC its AudioSpecificConfig', () => {
  expect(body(writeInitSegment({ video, audio: opus }), 'dOps').toString('hex')).toBe('000200000000bb80000000');
  const esds = body(writeInitSegment({ video, audio: aac }), 'esds').toString('hex');
  expect(esds).toBe('00000000' + '0319000200' + '04114015000000' + '0000000000000000' + '05021190' + '060102');
});

test('[FMP4-8] VP8 and no track at all cannot be muxed, and the writer refuses them', () => {
  for (const tracks of [{ video: vp8, audio: opus }, { video: null, audio: null }]) {
    expect(canMux(tracks)).toBe(false);
    expect(() => writeInitSegment(tracks)).toThrow(MediaError);
  }
});
