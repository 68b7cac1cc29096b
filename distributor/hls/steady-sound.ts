/**
 * Browsers keep picture and sound of one file in one buffer, play only what has both, and end when the number of tracks changes (W3C Media Source
 * Extensions §3.5.7 and §3.5.8). So a camera whose sound pauses, or that returns without it, would stand still or end for every HLS player. Here its
 * parts are made such that picture goes on: silence where sound is missing, and what a session promised in its first init segment is kept. Pure.
 */
import { silentUnit } from '../../core/codec/silence.ts';
import type { SilentUnit } from '../../core/codec/silence.ts';
import { AUDIO_TRACK_ID, VIDEO_TRACK_ID, codecsOf, writeInitSegment } from '../../core/fmp4/init-segment.ts';
import { writePart } from '../../core/fmp4/part-writer.ts';
import type { SampleInput } from '../../core/fmp4/part-writer.ts';
import type { AudioTrack } from '../../core/track.ts';
import type { MediaTicks, Milliseconds } from '../../core/units.ts';
import type { InitSegment, Part, PartSample } from '../../muxer/port.ts';

/** Sound comes later than its pictures, by as much as one RTP packet holds; so much later, it is taken for missing. */
const PATIENCE: Milliseconds = 800;
/** Of a camera whose sound has turned out to come later still. */
const MOST_PATIENCE: Milliseconds = 3_200;
/** A shorter pause between two sounds is the device's rounding. */
const HOLE: Milliseconds = 100;
/** Of a longer pause nothing is filled but the last part: pictures paused, too. Nor is more filled in one part, whatever its times are. */
const LONGEST_FILL: Milliseconds = 10_000;

/** A sample of a part with its bytes. */
interface Sample extends SampleInput {
  readonly dts: MediaTicks;
}

export class SteadySound {
  #session: string | null = null;
  #epoch = 0;
  /** The sound that the session's init segments have. */
  #sound: AudioTrack | null = null;
  #silence: SilentUnit | null = null;
  /** Inits that were made here, by those they stand for. */
  #inits = new WeakMap<InitSegment, InitSegment>();
  /** Where the sound ends, in ticks of its clock; undefined at the begin of an epoch. */
  #end: MediaTicks | undefined;
  /** Where what was heard ends. */
  #heard: MediaTicks = 0;
  /** Up to here there is silence: sound that comes for a time before this is too late. */
  #filled: MediaTicks = -Infinity;
  /** Nothing was heard for longer than the patience. */
  #silent = false;
  #patience = PATIENCE;
  /** Of a part that was left out. */
  #discontinuity = false;

  /** The part as it is to be served; null: there is nothing in it for players. `watched`: somebody plays, so that tracks must stay what they are. */
  add(part: Part, watched: boolean): Part | null {
    if (!part.init.tracks.video) return part;
    this.#follow(part, watched);
    const served = this.#serve(part);
    const discontinuity = part.discontinuity || this.#discontinuity;
    this.#discontinuity = served === null && discontinuity;
    return served === null || served.discontinuity === discontinuity ? served : { ...served, discontinuity };
  }

  /** A new session promises anew; within one, only what players can follow changes: another codec or, where nobody watches, anything. */
  #follow({ sessionId, epoch, discontinuity, init: { tracks: { audio } } }: Part, watched: boolean): void {
    const begins = sessionId !== this.#session;
    if (begins || epoch !== this.#epoch) this.#forget();
    if (begins) this.#patience = PATIENCE;
    if (begins || (discontinuity && (!watched || (audio !== null && this.#sound !== null)))) {
      if (audio?.clockRate !== this.#sound?.clockRate) this.#forget();
      this.#sound = audio;
      this.#silence = audio && silentUnit(audio);
      this.#inits = new WeakMap();
    }
    this.#session = sessionId;
    this.#epoch = epoch;
  }

  #forget(): void {
    this.#end = undefined;
    this.#filled = -Infinity;
    this.#silent = false;
  }

  #serve(part: Part): Part | null {
    const { audio } = part.init.tracks;
    if (this.#sound === null) return audio === null ? part : this.#made(part, samplesOf(part, 'video'), [], []);
    return this.#silence === null ? part : this.#steady(part, this.#silence, this.#sound.clockRate);
  }

  /** Silence before the part's sound and, where none has come for too long or none is to come, up to the end of its pictures. */
  #steady(part: Part, silence: SilentUnit, clockRate: number): Part | null {
    const ticks = (ms: Milliseconds): MediaTicks => (ms * clockRate) / 1_000;
    const pictures = samplesOf(part, 'video');
    const heard = samplesOf(part, 'audio');
    const shown = shownOf(pictures, clockRate, part.init.tracks.video?.clockRate ?? 1);
    const begin = Math.round(Math.min(shown.from, heard[0]?.dts ?? Infinity));
    const anew = this.#end === undefined || begin - this.#end > ticks(LONGEST_FILL);
    const end = anew ? begin : (this.#end ?? begin);
    if (anew) this.#heard = begin;
    const kept = heard.filter(({ dts }) => dts >= this.#filled);
    const [late, next] = heard.slice(0, heard.length - kept.length);
    if (late && next && late.dts - this.#heard < ticks(HOLE) && next.dts - (late.dts + late.duration) < ticks(HOLE)) {
      // It goes on where it was: it is there, only later than its pictures, and silence would go on taking its place. (The last sound before a pause alone is held back until there is a next one.)
      const lag = ((shown.to - late.dts) * 1_000) / clockRate;
      if (lag > this.#patience && this.#patience < MOST_PATIENCE) this.#patience *= 2;
      if (lag <= MOST_PATIENCE) this.#silent = false;
    }
    const latest = heard.at(-1);
    if (latest) this.#heard = latest.dts + latest.duration;
    const [first, last] = [kept[0], kept.at(-1)];
    let fill: readonly Sample[] = [];
    if (first && last) {
      if (first.dts > end && (this.#silent || first.dts - end >= ticks(HOLE))) fill = silenceFor(silence, end, first.dts, ticks(LONGEST_FILL));
      this.#end = last.dts + last.duration;
      this.#silent = false;
    } else {
      this.#silent ||= part.init.tracks.audio === null || shown.to - end > ticks(this.#patience);
      if (this.#silent && shown.to > end) fill = silenceFor(silence, end, end + Math.ceil((shown.to - end) / silence.duration) * silence.duration, ticks(LONGEST_FILL));
      this.#end = fill.length > 0 ? endOf(fill) : end;
    }
    if (fill.length > 0) this.#filled = endOf(fill);
    return fill.length === 0 && kept.length === heard.length && part.init.tracks.audio !== null ? part : this.#made(part, pictures, fill, kept);
  }

  #made(part: Part, pictures: readonly Sample[], silence: readonly Sample[], heard: readonly Sample[]): Part | null {
    const sound = [...silence, ...heard];
    const tracks = [];
    if (pictures[0]) tracks.push({ trackId: VIDEO_TRACK_ID, baseDecodeTime: pictures[0].dts, samples: pictures });
    if (sound[0]) tracks.push({ trackId: AUDIO_TRACK_ID, baseDecodeTime: sound[0].dts, samples: sound });
    const [leading] = tracks;
    if (!leading) return null;
    const reference = { trackId: leading.trackId, wall: part.wall, mediaTime: Math.max(0, leading.baseDecodeTime + (leading.samples[0]?.compositionOffset ?? 0)) };
    const chunks = writePart({ sequence: part.sequence, reference, tracks });
    const heardFrom = heard[0]?.dts ?? Infinity;
    return {
      ...part, init: this.#initFor(part.init), chunks, byteLength: chunks.reduce((sum, { length }) => sum + length, 0),
      samples: part.samples.filter(({ kind, dts }) => kind === 'video' || dts >= heardFrom),
    };
  }

  /** The init segment itself, unless its sound is not what was promised. */
  #initFor(init: InitSegment): InitSegment {
    if ((init.tracks.audio === null) === (this.#sound === null)) return init;
    const known = this.#inits.get(init);
    if (known) return known;
    const tracks = { video: init.tracks.video, audio: this.#sound };
    const made = { bytes: writeInitSegment(tracks), tracks, codecs: codecsOf(tracks) };
    this.#inits.set(init, made);
    return made;
  }
}

const endOf = (samples: readonly Sample[]): MediaTicks => {
  const last = samples.at(-1);
  return last ? last.dts + last.duration : 0;
};

const samplesOf = (part: Part, wanted: PartSample['kind']): Sample[] =>
  part.samples.flatMap(({ kind, dts, pts, duration, randomAccess }, i) => (kind === wanted ? [{ dts, duration, randomAccess, compositionOffset: pts - dts, data: part.chunks[FIRST_SAMPLE + i] ?? EMPTY }] : []));

/** `chunks` begin with `prft` + `moof` and the header of `mdat`. */
const FIRST_SAMPLE = 2;
const EMPTY = Buffer.alloc(0);

/** From when to when these pictures are shown, in ticks of another clock; infinite, and the ends the wrong way round, for none. */
const shownOf = (pictures: readonly Sample[], clockRate: number, pictureRate: number): { readonly from: number; readonly to: number } => {
  let [from, to] = [Infinity, -Infinity];
  for (const { dts, compositionOffset, duration } of pictures) {
    from = Math.min(from, dts + compositionOffset);
    to = Math.max(to, dts + compositionOffset + duration);
  }
  return { from: (from * clockRate) / pictureRate, to: (to * clockRate) / pictureRate };
};

/** Units of silence one behind the other, of the last `longest` ticks at most; the last one ends at `to`, be it a little longer or shorter than the others. */
const silenceFor = ({ data, duration }: SilentUnit, begin: MediaTicks, to: MediaTicks, longest: MediaTicks): Sample[] => {
  const from = Math.max(begin, to - longest);
  const count = Math.max(1, Math.round((to - from) / duration));
  return Array.from({ length: count }, (_, i) => {
    const dts = from + i * duration;
    return { dts, duration: i === count - 1 ? to - dts : duration, compositionOffset: 0, randomAccess: true, data };
  });
};
