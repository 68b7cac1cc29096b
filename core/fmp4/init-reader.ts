/** Reads the `moov` of a fragmented MP4 (ISO/IEC 14496-12:2022 §8.2): what its tracks are and what `moof` boxes may leave out. */
import { FieldReader, childBoxes, findBox, malformed, needBox } from './box-reader.ts';
import type { BoxHeader } from './box-reader.ts';

/** One track of an initialisation segment. */
export interface InitTrack {
  readonly id: number;
  readonly kind: 'video' | 'audio';
  /** Ticks per second of all its times. */
  readonly timescale: number;
  /** The type of its sample entry: `avc1`, `avc3`, `mp4a`, `Opus`. */
  readonly format: string;
  /** The whole sample entry box, to be written into another file as it is. */
  readonly sampleEntry: Buffer;
  /** Pixels; 0 for audio. */
  readonly width: number;
  readonly height: number;
  /** RFC 6381, e.g. `avc1.64001f`, `mp4a.40.2`, `opus`. */
  readonly codec: string;
  /** From `trex` (§8.8.3). */
  readonly defaultDuration: number;
  readonly defaultSize: number;
  readonly defaultFlags: number;
}

const MAX_TRACKS = 16;

/**
 * The tracks described by the `moov` at `moov` of `bytes`. Throws INVALID_ARGUMENT for anything malformed, for no track at all and for
 * more than 16. Tracks that are neither video nor audio are left out.
 */
export const readMoov = (bytes: Buffer, moov: BoxHeader): readonly InitTrack[] => {
  const boxes = childBoxes(bytes, moov.payload, moov.end);
  const mvex = findBox(boxes, 'mvex');
  const defaults = mvex ? childBoxes(bytes, mvex.payload, mvex.end).filter((box) => box.type === 'trex').map((box) => readTrex(bytes, box)) : [];
  const traks = boxes.filter((box) => box.type === 'trak');
  if (traks.length > MAX_TRACKS) throw malformed('too many tracks');
  const tracks = traks.flatMap((trak) => readTrak(bytes, trak, defaults));
  if (tracks.length === 0) throw malformed('no video or audio track');
  if (new Set(tracks.map((track) => track.id)).size !== tracks.length) throw malformed('two tracks with one id');
  return tracks;
};

interface Trex { readonly id: number; readonly defaultDuration: number; readonly defaultSize: number; readonly defaultFlags: number }

const readTrex = (bytes: Buffer, box: BoxHeader): Trex => {
  const fields = new FieldReader(bytes, box);
  fields.fullBox();
  const id = fields.u32();
  fields.u32(); // default_sample_description_index: always 1 here
  return { id, defaultDuration: fields.u32(), defaultSize: fields.u32(), defaultFlags: fields.u32() };
};

const readTrak = (bytes: Buffer, trak: BoxHeader, defaults: readonly Trex[]): InitTrack[] => {
  const boxes = childBoxes(bytes, trak.payload, trak.end);
  const mdia = needBox(boxes, 'mdia');
  const media = childBoxes(bytes, mdia.payload, mdia.end);
  const handler = new FieldReader(bytes, needBox(media, 'hdlr'));
  handler.skip(8);
  const handlerType = handler.slice(4).toString('latin1');
  if (handlerType !== 'vide' && handlerType !== 'soun') return [];

  const tkhd = new FieldReader(bytes, needBox(boxes, 'tkhd'));
  tkhd.skip(tkhd.fullBox().version === 1 ? 16 : 8);
  const id = tkhd.u32();
  const mdhd = new FieldReader(bytes, needBox(media, 'mdhd'));
  mdhd.skip(mdhd.fullBox().version === 1 ? 16 : 8);
  const timescale = mdhd.u32();
  if (id === 0 || timescale === 0) throw malformed('a track without id or timescale');

  const minf = needBox(media, 'minf');
  const stbl = needBox(childBoxes(bytes, minf.payload, minf.end), 'stbl');
  const stsd = needBox(childBoxes(bytes, stbl.payload, stbl.end), 'stsd');
  const entry = childBoxes(bytes, stsd.payload + 8, stsd.end)[0];
  if (!entry) throw malformed('no sample entry');
  const { defaultDuration = 0, defaultSize = 0, defaultFlags = 0 } = defaults.find((trex) => trex.id === id) ?? {};
  const sampleEntry = Buffer.from(bytes.subarray(entry.start, entry.end)); // a copy: the file's buffer may go
  const common = { id, timescale, format: entry.type, sampleEntry, defaultDuration, defaultSize, defaultFlags };
  if (handlerType === 'soun') return [{ ...common, kind: 'audio', width: 0, height: 0, codec: audioCodec(bytes, entry) }];
  const visual = new FieldReader(bytes, entry);
  visual.skip(24);
  return [{ ...common, kind: 'video', width: visual.u16(), height: visual.u16(), codec: videoCodec(bytes, entry) }];
};

/** Fixed fields of a VisualSampleEntry and an AudioSampleEntry before their child boxes (§12.1.3, §12.2.3). */
const VISUAL_FIELDS = 78;
const AUDIO_FIELDS = 28;

const videoCodec = (bytes: Buffer, entry: BoxHeader): string => {
  if (entry.type !== 'avc1' && entry.type !== 'avc3') return entry.type;
  const avcC = findBox(childBoxes(bytes, entry.payload + VISUAL_FIELDS, entry.end), 'avcC');
  if (!avcC) throw malformed('no avcC box');
  const config = new FieldReader(bytes, avcC);
  config.skip(1);
  return `${entry.type}.${config.slice(3).toString('hex')}`;
};

/**
 * The SPS and PPS of an `avc1` or `avc3` sample entry as NAL units behind 4-byte lengths, as they would stand in a sample; empty for other formats.
 * Throws INVALID_ARGUMENT (ISO/IEC 14496-15:2022 §5.3.3.1).
 */
export const parameterSetsOf = (sampleEntry: Buffer): Buffer => {
  const avcC = decoderConfigBox(sampleEntry);
  if (!avcC) return Buffer.alloc(0);
  const config = new FieldReader(sampleEntry, avcC);
  config.skip(5);
  const units: Buffer[] = [];
  for (const mask of [0x1f, 0xff]) {
    for (let count = config.u8() & mask; count > 0; count--) {
      const unit = config.slice(config.u16());
      const length = Buffer.allocUnsafe(4);
      length.writeUInt32BE(unit.length);
      units.push(length, unit);
    }
  }
  return Buffer.concat(units);
};

/** The AVCDecoderConfigurationRecord of an `avc1` or `avc3` sample entry; undefined for other formats. Throws INVALID_ARGUMENT. */
export const decoderConfigOf = (sampleEntry: Buffer): Buffer | undefined => {
  const avcC = decoderConfigBox(sampleEntry);
  return avcC && sampleEntry.subarray(avcC.payload, avcC.end);
};

const decoderConfigBox = (sampleEntry: Buffer): BoxHeader | undefined => {
  const entry = childBoxes(sampleEntry, 0, sampleEntry.length)[0];
  if (entry?.type !== 'avc1' && entry?.type !== 'avc3') return undefined;
  return needBox(childBoxes(sampleEntry, entry.payload + VISUAL_FIELDS, entry.end), 'avcC');
};

const audioCodec = (bytes: Buffer, entry: BoxHeader): string => {
  if (entry.type === 'Opus') return 'opus';
  if (entry.type !== 'mp4a') return entry.type;
  const esds = findBox(childBoxes(bytes, entry.payload + AUDIO_FIELDS, entry.end), 'esds');
  if (!esds) throw malformed('no esds box');
  const objectType = aacObjectType(new FieldReader(bytes, esds));
  return `mp4a.40.${String(objectType)}`;
};

/** The audio object type inside `esds`: ES_Descriptor → DecoderConfigDescriptor → DecoderSpecificInfo (ISO/IEC 14496-1 §7.2.6). */
const aacObjectType = (fields: FieldReader): number => {
  fields.fullBox();
  const descriptor = (tag: number): void => {
    if (fields.u8() !== tag) throw malformed('esds without the expected descriptor');
    for (let i = 0; i < 4; i++) if ((fields.u8() & 0x80) === 0) return;
    throw malformed('a descriptor length over 4 bytes');
  };
  descriptor(0x03);
  fields.skip(2);
  const flags = fields.u8();
  if (flags & 0x80) fields.skip(2);
  if (flags & 0x40) fields.skip(fields.u8());
  if (flags & 0x20) fields.skip(2);
  descriptor(0x04);
  fields.skip(13);
  descriptor(0x05);
  const first = fields.u8();
  return first >> 3 === 31 ? 32 + (((first & 7) << 3) | (fields.u8() >> 5)) : first >> 3;
};
