/** AudioSpecificConfig, ISO/IEC 14496-3:2019 §1.6.2.1. */
import { BitReader } from '../../bits/bit-reader.ts';
import { MediaError } from '../../errors.ts';
import type { AacTrack } from '../../track.ts';

export interface AudioSpecificConfig {
  /** 2 = AAC LC; 5 = SBR (HE-AAC), 29 = PS (HE-AAC v2) as signalled explicitly. */
  readonly objectType: number;
  /** Sampling rate of the core coder: the RTP and MP4 clock. */
  readonly samplingRate: number;
  readonly channels: number;
  /** Samples per access unit, 1024 or 960. */
  readonly frameSamples: number;
}

const RATES = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
/** channelConfiguration → channels, Table 1.19. */
const CHANNELS = [0, 1, 2, 3, 4, 5, 6, 8];

const readObjectType = (reader: BitReader): number => {
  const type = reader.bits(5);
  return type === 31 ? 32 + reader.bits(6) : type;
};

const readRate = (reader: BitReader): number => {
  const index = reader.bits(4);
  const rate = index === 15 ? reader.bits(24) : RATES[index];
  if (rate === undefined || rate < 1_000 || rate > 384_000) throw new MediaError('INVALID_ARGUMENT', 'AAC sampling rate is reserved or out of range');
  return rate;
};

/** Parses the configuration. Throws INVALID_ARGUMENT when it is broken, UNPROCESSABLE for object types and channel layouts we do not carry. */
export const parseAudioSpecificConfig = (bytes: Uint8Array): AudioSpecificConfig => {
  const reader = new BitReader(bytes);
  const objectType = readObjectType(reader);
  const samplingRate = readRate(reader);
  const channels = CHANNELS[reader.bits(4)];
  let core = objectType;
  if (objectType === 5 || objectType === 29) {
    readRate(reader); // extensionSamplingFrequency
    core = readObjectType(reader);
  }
  if (core !== 2) throw new MediaError('UNPROCESSABLE', 'only AAC LC and HE-AAC are carried', { context: { objectType: core } });
  if (channels === undefined || channels === 0) throw new MediaError('UNPROCESSABLE', 'AAC channel layout by program config element is not carried');
  const short = reader.flag(); // frameLengthFlag of GASpecificConfig
  return { objectType, samplingRate, channels, frameSamples: short ? 960 : 1024 };
};

/** A track of this configuration (copied). Throws as `parseAudioSpecificConfig`. */
export const aacTrack = (config: Uint8Array): AacTrack => {
  const { objectType, samplingRate, channels } = parseAudioSpecificConfig(config);
  return {
    kind: 'audio', codec: 'aac', clockRate: samplingRate, channels,
    config: Uint8Array.from(config),
    codecString: `mp4a.40.${String(objectType)}`,
  };
};
