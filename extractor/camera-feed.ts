import type { AccessUnit } from '../core/access-unit.ts';
import type { Clock } from '../core/clock.ts';
import type { Branch } from '../core/hub.ts';
import type { Tracks, VideoTrack } from '../core/track.ts';
import type { Milliseconds } from '../core/units.ts';
import type { CameraStream } from '../ingest/port.ts';
import type { Extractor } from './extractor-process.ts';
import { KeyframeRhythm } from './keyframe-rhythm.ts';
import type { Wanted } from './keyframe-rhythm.ts';
import { MAX_ACCESS_UNIT_BYTES } from './protocol.ts';
import type { BurnInMessage, CodecMessage, CodesWanted, PictureStream, StillMessage } from './protocol.ts';
import type { SentDetector } from './sent-detector.ts';

/** Later than this a picture is decoded for those that follow, and shown to no detector. */
const LATE_MS: Milliseconds = 250;
/** So far behind, decoding everything would never catch up: go on at the next random access unit. */
const HOPELESS_MS: Milliseconds = 3000;
/** Room for a cached GOP of 20 s; what is queued behind a slow decoder is bounded by `HOPELESS_MS`. */
const MAX_UNITS = 1200;
const MAX_BYTES = 48 << 20;

export interface CameraFeedOptions {
  readonly stream: CameraStream;
  readonly handle: number;
  readonly extractor: Extractor;
  readonly detectors: readonly SentDetector[];
  /** Printed codes that are looked for; null: none. */
  readonly codes: CodesWanted | null;
  /** Pictures for viewers. */
  readonly pictures: readonly PictureStream[];
  /** Whether its video with boxes burned in is wanted, and how large at most. */
  readonly burnIn: Omit<BurnInMessage, 'handle'>;
  readonly clock: Clock;
  /** The last id that a track of this camera was given. */
  readonly lastTrack: () => number;
  /** A unit was left out: the decoder is too slow, or the pipe carries no such unit. */
  readonly onSkip: (reason: 'queue_full' | 'too_large') => void;
  /** A unit that came for detectors while this feed ran is sent, or is left out as the decoder is too far behind; `late`: it is too late for them. */
  readonly onUnit: (late: boolean) => void;
}

/**
 * Pumps one camera's video from its Hub into an extractor's pipe, from the cached GOP on, at the pace the pipe takes it. Where key frames are all that is wanted, the
 * pictures between them are left out, and made up for from the cached GOP when something else is asked for.
 */
export class CameraFeed implements Disposable {
  readonly handle: number;
  readonly extractor: Extractor;
  readonly #options: CameraFeedOptions;
  readonly #branch: Branch<AccessUnit>;
  readonly #startedAt: Milliseconds;
  #detectors: readonly SentDetector[];
  #codes: CodesWanted | null;
  #pictures: readonly PictureStream[];
  #burnIn: Omit<BurnInMessage, 'handle'>;
  /** Stills asked for while there are older units to be sent. */
  #stills: Omit<StillMessage, 'handle'>[] = [];
  /** What the child was told last. */
  #tracks: Tracks | null = null;
  #hopeless = false;
  readonly #rhythm = new KeyframeRhythm();
  /** The last video unit that was sent, and the last one after it that was left out. */
  #sent: AccessUnit | null = null;
  #spared: AccessUnit | null = null;
  /** Somebody new is to see a picture that comes just now. */
  #owed: boolean;
  #wanted: Wanted;
  /** What was left out cannot be made up for. */
  #broken = false;

  constructor(options: CameraFeedOptions) {
    this.#options = options;
    this.handle = options.handle;
    this.extractor = options.extractor;
    this.#detectors = options.detectors;
    this.#codes = options.codes;
    this.#pictures = options.pictures;
    this.#burnIn = options.burnIn;
    this.#owed = options.pictures.length > 0;
    this.#wanted = this.#wants();
    this.#startedAt = options.clock.monotonic();
    this.#branch = options.stream.hub.subscribe({ name: 'extractor', dropPolicy: 'skip-to-random-access', maxUnits: MAX_UNITS, maxBytes: MAX_BYTES, replay: true });
    // A Hub that ends with a failure ends this feed, too; its publisher has said why.
    this.#pump().catch(() => undefined);
  }

  setDetectors(detectors: readonly SentDetector[]): void {
    this.#detectors = detectors;
    this.#wanted = this.#wants();
    const video = this.#tracks?.video;
    if (video) this.#tell(video);
  }

  setCodes(codes: CodesWanted | null): void {
    this.#codes = codes;
    this.#wanted = this.#wants();
    const video = this.#tracks?.video;
    if (video) this.#tell(video);
  }

  setPictures(pictures: readonly PictureStream[]): void {
    if (pictures.some(({ id }) => !this.#pictures.some((known) => known.id === id))) {
      this.#owed = true;
      this.#makeUp(); // who comes is shown the newest picture at once
    }
    this.#pictures = pictures;
    this.#wanted = this.#wants();
    if (this.#tracks?.video) this.extractor.setPictures({ handle: this.handle, streams: [...pictures] });
  }

  setBurnIn(burnIn: Omit<BurnInMessage, 'handle'>): void {
    if (burnIn.on === this.#burnIn.on && burnIn.maxHeight === this.#burnIn.maxHeight) return;
    this.#burnIn = burnIn;
    this.#wanted = this.#wants();
    if (this.#tracks?.video) this.extractor.setBurnIn({ handle: this.handle, ...burnIn });
  }

  /** Asks for a random access picture in the video with boxes burned in. */
  requestKeyframe(): void {
    if (this.#tracks?.video) this.extractor.requestKeyframe(this.handle);
  }

  /** Asks for the newest picture: behind all that has come by now, the cached GOP above all. */
  requestStill(still: Omit<StillMessage, 'handle'>): void {
    this.#stills.push(still);
    this.#sendStills();
  }

  [Symbol.dispose](): void {
    this.#branch[Symbol.dispose]();
    this.extractor.removeCamera(this.handle);
  }

  async #pump(): Promise<void> {
    for await (const unit of this.#branch) {
      if (unit.kind === 'video' && !this.#isHopeless(unit) && !this.#isTooLarge(unit)) {
        if (unit.tracks !== this.#tracks) this.#follow(unit.tracks);
        const late = this.#options.clock.monotonic() - unit.arrivedAt > LATE_MS;
        if (unit.arrivedAt >= this.#startedAt) this.#count(late);
        if (!this.#isSpared(unit)) {
          if (!late) this.#owed = false;
          this.#sent = unit;
          if (!this.extractor.send(this.handle, unit, late)) await this.extractor.drained();
        }
      }
      this.#sendStills();
    }
  }

  /** It is none that anybody wants to see, or refers to one that was left out and cannot be made up for. */
  #isSpared(unit: AccessUnit): boolean {
    const video = unit.tracks.video;
    const suffices = video !== null && this.#rhythm.suffices(unit, video, this.#wanted);
    if (unit.randomAccess) {
      this.#spared = null;
      this.#broken = false;
      return false;
    }
    if (suffices && !this.#owed) {
      this.#spared = unit;
      return true;
    }
    this.#makeUp();
    return this.#broken;
  }

  /** Sends what was left out since the last key frame: as many units at most as a GOP is cached. */
  #makeUp(): void {
    const spared = this.#spared;
    if (spared === null) return;
    this.#spared = null;
    const sent = this.#sent;
    const gop = this.#options.stream.hub.gop();
    const first = gop[0];
    if (!sent || first?.frame.epoch !== sent.frame.epoch || first.frame.seq > sent.frame.seq) {
      if (!this.#broken) this.#options.stream.requestKeyframe();
      this.#broken = true;
      return;
    }
    for (const unit of gop) {
      if (unit.kind !== 'video' || unit.frame.seq <= sent.frame.seq || unit.frame.seq > spared.frame.seq || unit.data.length > MAX_ACCESS_UNIT_BYTES) continue;
      this.#sent = unit;
      this.extractor.send(this.handle, unit, this.#options.clock.monotonic() - unit.arrivedAt > LATE_MS);
    }
  }

  #sendStills(): void {
    if (this.#stills.length === 0 || !this.#tracks?.video || this.#branch.queuedUnits > 0) return;
    this.#makeUp();
    if (this.#broken) return; // the decoder's newest picture is an old one: the next key frame's is shown
    for (const still of this.#stills) this.extractor.requestStill({ handle: this.handle, ...still });
    this.#stills = [];
    this.#owed = true; // of what was decoded while nobody wanted a picture none was kept: the next one is shown then
  }

  #isHopeless(unit: AccessUnit): boolean {
    const behind = unit.arrivedAt >= this.#startedAt && this.#options.clock.monotonic() - unit.arrivedAt > HOPELESS_MS;
    if (behind) {
      this.#hopeless = true;
      this.#count(true);
    } else if (unit.randomAccess) this.#hopeless = false;
    if (this.#hopeless) this.#options.onSkip('queue_full');
    return this.#hopeless;
  }

  #wants(): Wanted {
    return { motion: this.#detectors.length > 0 || this.#burnIn.on, rates: [...this.#pictures.map(({ fps }) => fps), ...(this.#codes ? [this.#codes.fps] : [])] };
  }

  #count(late: boolean): void {
    if (this.#detectors.length > 0) this.#options.onUnit(late);
  }

  /** The pipe carries no such unit; the decoder goes on at the next random access unit. */
  #isTooLarge(unit: AccessUnit): boolean {
    if (unit.data.length <= MAX_ACCESS_UNIT_BYTES) return false;
    this.#options.onSkip('too_large');
    return true;
  }

  #follow(tracks: Tracks): void {
    const before = this.#tracks?.video;
    this.#tracks = tracks;
    if (tracks.video && tracks.video !== before) this.#tell(tracks.video);
  }

  #tell(video: VideoTrack): void {
    const detectors = this.#detectors.map(({ id, model, fps, confidence, tracking, shown }) => ({ id, model, fps, confidence, tracking: tracking !== false, ...(shown && { shown }) }));
    this.extractor.setCamera({ handle: this.handle, camera: this.#options.stream.camera, codec: codecOf(video), clockRate: video.clockRate, detectors, lastTrack: this.#options.lastTrack(), ...(this.#codes && { codes: this.#codes }) });
    if (this.#pictures.length > 0) this.setPictures(this.#pictures);
    if (this.#burnIn.on) this.extractor.setBurnIn({ handle: this.handle, ...this.#burnIn });
  }
}

const codecOf = (video: VideoTrack): CodecMessage => {
  switch (video.codec) {
    case 'h264': return { codec: 'h264', sps: Buffer.from(video.sps).toString('base64'), pps: Buffer.from(video.pps).toString('base64') };
    case 'vp8': return { codec: 'vp8' };
  }
};
