/** Encoded silence, for what cannot bear that there is no sound. */
import type { AudioTrack } from '../track.ts';
import type { MediaTicks } from '../units.ts';
import { parseAudioSpecificConfig } from './aac/audio-specific-config.ts';

export interface SilentUnit {
  readonly data: Buffer;
  readonly duration: MediaTicks;
}

/**
 * `raw_data_block` (ISO/IEC 14496-3:2019 §4.4.2.1) of one channel and of a pair, without a single spectral coefficient, so that it means the same at every
 * sampling rate.
 */
const AAC_MONO = Buffer.from('00c800802380', 'hex');
const AAC_STEREO = Buffer.from('210049900219002380', 'hex');
/** RFC 6716 §3.1: CELT, fullband, one frame of 20 ms, mono (which a stereo decoder takes as well), and nothing in it. */
const OPUS = Buffer.from('f8fffe', 'hex');
const OPUS_TICKS = 960;

/** One access unit of silence for a track; null where none is known: more than two channels, HE-AAC. Throws nothing. */
export const silentUnit = (track: AudioTrack): SilentUnit | null => {
  if (track.channels > 2) return null; // Opus of more channels is packed in another way (RFC 7845 §5.1.1)
  if (track.codec === 'opus') return { data: OPUS, duration: OPUS_TICKS };
  const { objectType, channels, frameSamples } = parseAudioSpecificConfig(track.config);
  if (objectType !== 2) return null;
  return { data: channels === 1 ? AAC_MONO : AAC_STEREO, duration: frameSamples };
};
