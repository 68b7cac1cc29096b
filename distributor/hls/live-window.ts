/** The segments and parts of one camera that HLS players may ask for. Pure: state in, state out, no clock and no sockets. */
import type { Milliseconds } from '../../core/units.ts';
import type { InitSegment, Part } from '../../muxer/port.ts';
import { segmentClosesAfter, segmentClosesBefore } from './segment-rules.ts';
import type { SegmentRules } from './segment-rules.ts';

export interface HlsPart {
  /** File name, relative to the playlist. */
  readonly name: string;
  readonly part: Part;
}

export interface HlsSegment {
  /** Media sequence number. */
  readonly msn: number;
  readonly name: string;
  readonly init: HlsInit;
  /** `EXT-X-DISCONTINUITY` stands before it. */
  readonly discontinuity: boolean;
  /** Of its first sample, Unix ms. */
  readonly wall: Milliseconds;
  /** No part of it is longer. */
  readonly partTargetMs: Milliseconds;
  readonly parts: HlsPart[];
  duration: Milliseconds;
  bytes: number;
  complete: boolean;
}

export interface HlsInit {
  readonly name: string;
  readonly init: InitSegment;
}

export interface LiveWindowOptions extends SegmentRules {
  /** Complete segments in the playlist. */
  readonly listed: number;
  /** … while nobody watches: the first viewer then starts as on a fresh stream, and idle cameras cost little memory. */
  readonly listedIdle: number;
  /** Segments that left the playlist and can still be had, for players that are behind. */
  readonly retained: number;
  /** Bytes of media held; the oldest segments go first. */
  readonly maxBytes: number;
}

/** What a request may get by name. */
export type HlsResource = { readonly kind: 'init'; readonly init: InitSegment } | { readonly kind: 'part'; readonly part: Part } | { readonly kind: 'segment'; readonly segment: HlsSegment };

/** 2020-01-01, so that sequence numbers stay short. */
const SEQUENCE_ORIGIN = 1_577_836_800_000;

export class LiveWindow {
  readonly #options: LiveWindowOptions;
  /** In the playlist, oldest first; the last one may be open. */
  #segments: HlsSegment[] = [];
  /** Out of the playlist, oldest first. */
  #retained: HlsSegment[] = [];
  #resources = new Map<string, HlsResource>();
  #init: HlsInit | null = null;
  #session: { readonly id: string; readonly prefix: string } | null = null;
  #nextMsn = 0;
  #bytes = 0;
  #discontinuitySequence = 0;
  /** Length of the last whole GOP, and of the one that is being received. */
  #lastGop: Milliseconds = 0;
  #gop: Milliseconds = 0;
  #ended = false;

  constructor(options: LiveWindowOptions) {
    this.#options = options;
  }

  get segments(): readonly HlsSegment[] { return this.#segments; }
  get discontinuitySequence(): number { return this.#discontinuitySequence; }
  get ended(): boolean { return this.#ended; }
  get bytes(): number { return this.#bytes; }

  /** The segment that is being received, if it has a part already. */
  get open(): HlsSegment | null {
    const last = this.#segments.at(-1);
    return last && !last.complete ? last : null;
  }

  /** Players can begin: there is a whole segment (hls.js refuses a playlist that has parts alone). */
  get playable(): boolean { return this.#segments[0]?.complete ?? false; }

  /** Where the next part goes: (media sequence number, part index), RFC 8216bis §6.2.5.2. */
  get next(): { readonly msn: number; readonly part: number } {
    const open = this.open;
    return open ? { msn: open.msn, part: open.parts.length } : { msn: this.#nextMsn, part: 0 };
  }

  /** PART-TARGET: of the newest segment. 0 while there is no media. */
  get partTargetMs(): Milliseconds { return this.#segments.at(-1)?.partTargetMs ?? 0; }

  /** Name of the next part: the preload hint. Null when there is no session or it has ended. */
  get hint(): string | null {
    if (!this.#session || this.#ended) return null;
    const { msn, part } = this.next;
    return partName(this.#session.prefix, msn, part);
  }

  /** What can be had by this name now. */
  get(name: string): HlsResource | undefined {
    return this.#resources.get(name);
  }

  /** Takes the next part of the camera. `watched`: somebody asked for this playlist lately. */
  add(part: Part, watched: boolean): void {
    if (part.sessionId !== this.#session?.id) this.#beginSession(part);
    if (part.randomAccess) {
      if (this.#gop > 0) this.#lastGop = this.#gop;
      this.#gop = 0;
    }
    this.#gop += part.duration;
    const before = this.open;
    // Another target is another promise to players: they begin anew, as at a new epoch.
    const renewed = this.#segments.length > 0 && part.targetMs !== this.partTargetMs;
    if (before && (renewed || part.discontinuity || segmentClosesBefore(before.duration, part, this.#options))) this.#close(before);
    const segment = this.open ?? this.#openSegment(part, renewed || part.discontinuity);
    const name = partName(this.#session?.prefix ?? '', segment.msn, segment.parts.length);
    segment.parts.push({ name, part });
    segment.duration += part.duration;
    segment.bytes += part.byteLength;
    this.#bytes += part.byteLength;
    this.#resources.set(name, { kind: 'part', part });
    if (segmentClosesAfter(segment.duration, this.#lastGop, this.#segments.length === 1, part, this.#options)) this.#close(segment);
    this.#trim(watched);
  }

  /** The publisher is lost: what was received is a whole segment. */
  interrupt(): void {
    const { open } = this;
    if (open) this.#close(open);
    this.#gop = 0;
  }

  /** The session is over: the playlist ends. */
  end(): void {
    this.interrupt();
    if (this.#session) this.#ended = true;
  }

  /** Forgets all media; sequence numbers go on. */
  clear(): void {
    this.#removeAll();
    this.#session = null;
  }

  #beginSession(part: Part): void {
    const first = this.#nextMsn === 0;
    // Counting from the clock, so that a number is not used again for something else after a restart of the server.
    if (first) this.#nextMsn = Math.max(1, Math.floor((part.wall - SEQUENCE_ORIGIN) / 1_000));
    const open = this.open;
    if (open) this.#close(open);
    for (const segment of this.#segments) if (segment.discontinuity) this.#discontinuitySequence++;
    this.#retained.push(...this.#segments);
    this.#segments = [];
    this.#session = { id: part.sessionId, prefix: part.sessionId.replace(/[^A-Za-z0-9]/g, '').slice(0, 8) };
    this.#ended = false;
    this.#lastGop = 0;
    this.#gop = 0;
  }

  #openSegment(part: Part, discontinuity: boolean): HlsSegment {
    const prefix = this.#session?.prefix ?? '';
    const msn = this.#nextMsn++;
    if (this.#init?.init !== part.init) {
      // Named after its first segment: the name is not used again, either, when a camera is shown again within its session.
      this.#init = { name: `init-${prefix}-${String(msn)}.mp4`, init: part.init };
      this.#resources.set(this.#init.name, { kind: 'init', init: part.init });
    }
    const segment: HlsSegment = {
      msn,
      name: `seg-${prefix}-${String(msn)}.m4s`,
      init: this.#init,
      discontinuity: discontinuity && this.#segments.length + this.#retained.length > 0,
      wall: part.wall,
      partTargetMs: part.targetMs,
      parts: [],
      duration: 0,
      bytes: 0,
      complete: false,
    };
    this.#segments.push(segment);
    return segment;
  }

  #close(segment: HlsSegment): void {
    segment.complete = true;
    this.#resources.set(segment.name, { kind: 'segment', segment });
  }

  #trim(watched: boolean): void {
    const { listed, listedIdle, retained, maxBytes } = this.#options;
    const most = (watched ? listed : listedIdle) + (this.open ? 1 : 0);
    while (this.#segments.length > most) this.#unlist();
    while (this.#retained.length > (watched ? retained : 0)) this.#forget();
    while (this.#bytes > maxBytes && this.#retained.length > 0) this.#forget();
    while (this.#bytes > maxBytes && this.#segments.length > 1) {
      this.#unlist();
      this.#forget();
    }
  }

  #unlist(): void {
    const segment = this.#segments.shift();
    if (!segment) return;
    if (segment.discontinuity) this.#discontinuitySequence++;
    this.#retained.push(segment);
  }

  #forget(): void {
    const segment = this.#retained.shift();
    if (!segment) return;
    this.#bytes -= segment.bytes;
    this.#resources.delete(segment.name);
    for (const { name } of segment.parts) this.#resources.delete(name);
    const oldest = this.#retained[0] ?? this.#segments[0];
    if (oldest?.init !== segment.init && segment.init !== this.#init) this.#resources.delete(segment.init.name);
  }

  #removeAll(): void {
    while (this.#segments.length > 0) this.#unlist();
    while (this.#retained.length > 0) this.#forget();
    this.#resources.clear();
    this.#init = null;
  }
}

const partName = (prefix: string, msn: number, index: number): string => `part-${prefix}-${String(msn)}.${String(index)}.m4s`;
