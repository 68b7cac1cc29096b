import { gzipSync } from 'node:zlib';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { SessionInfo } from '../../ingest/port.ts';
import type { Part, PartStream } from '../../muxer/port.ts';
import { isSatisfied, refuseFarAhead } from './delivery-directives.ts';
import type { DeliveryDirectives } from './delivery-directives.ts';
import { LiveWindow } from './live-window.ts';
import type { HlsResource } from './live-window.ts';
import { renderMedia, renderMultivariant, withQuery } from './playlist.ts';
import type { MediaPlaylist } from './playlist.ts';
import type { SegmentRules } from './segment-rules.ts';
import { SteadySound } from './steady-sound.ts';

export interface HlsStreamOptions {
  readonly rules: SegmentRules;
  readonly clock: Clock;
  /** The source has just been made to flow: who asks before its first segment waits for that while the camera is live. */
  readonly onDemand?: boolean;
}

/** A playlist as it goes out: the same bytes for everybody who shows the same token. */
export interface RenderedPlaylist {
  readonly plain: Buffer;
  /** Compressed at first use. */
  gzip(): Buffer;
}

/** Eight segments of 4 s are 32 s: enough for a delta update to skip something. Without viewers only the last whole one is kept. */
const WINDOW = { listed: 8, listedIdle: 1, retained: 3, maxBytes: 96 << 20 };
/** Somebody watches while a request came within this time. */
const WATCHED_MS = 60_000;
/** How long the media of an ended session can still be had. */
const ENDED_MS = 60_000;
/** Requests held at a time for one camera; more get 503. */
const MAX_WAITERS = 2_000;
/**
 * A player begins at the end of the first playlist it gets and keeps that distance for as long as it plays: while the newest part is older than
 * this share of a part, and the next one due, a plain request waits for that.
 */
const FRESH_SHARE = 0.25;
/** One timer looks after the deadlines of all waiting requests: they come and go by the hundred a second. */
const SWEEP_MS = 500;
/** Distinct tokens a rendering is kept for; more are rendered again. */
const MAX_TOKENS = 128;

interface Waiter {
  /** True when the wait is over. */
  readonly check: () => boolean;
  readonly finish: () => void;
  /** `Clock.monotonic()` after which it is refused. */
  readonly due: Milliseconds;
  readonly refuse: (why: MediaError) => void;
}

/** One camera's LL-HLS: its window of media, its playlists (composed once per part), and the requests that wait for the next one. */
export class HlsStream implements Disposable {
  readonly #options: HlsStreamOptions;
  readonly #source: PartStream;
  readonly #window: LiveWindow;
  readonly #sound = new SteadySound();
  readonly #resources = new DisposableStack();
  readonly #waiters = new Set<Waiter>();
  readonly #rendered = new Map<string, RenderedPlaylist>();
  #media: MediaPlaylist | null = null;
  #sessionId: string | null = null;
  #askedAt: Milliseconds = -Infinity;
  /** When the newest part came. */
  #addedAt: Milliseconds = -Infinity;
  #clearing: Disposable | null = null;
  #closed: MediaError | null = null;
  /** Made in the middle of a session, it begins with the next random access picture. */
  #begun = false;

  constructor(source: PartStream, options: HlsStreamOptions) {
    this.#options = options;
    this.#source = source;
    this.#window = new LiveWindow({ ...options.rules, ...WINDOW });
    this.#resources.use(source.parts.attach((part) => { this.#add(part); }));
    this.#resources.use(options.clock.every(SWEEP_MS, () => { this.#sweep(); }));
    this.#resources.use(source.onSession((session) => { this.#onSession(session); }));
  }

  /** Requests that wait now. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /** The media playlist once it has what `directives` ask for. Rejects as §6.2.5.2 says: 400 too far ahead, 503 when nothing comes; 404 without media. */
  async playlist(directives: DeliveryDirectives, token: string | null, signal: AbortSignal): Promise<RenderedPlaylist> {
    this.#asked();
    await this.#requireMedia(signal);
    refuseFarAhead(this.#window, directives);
    if (directives.msn === null) await this.#awaitFresh(signal);
    else if (!isSatisfied(this.#window, directives)) {
      const session = this.#sessionId;
      await this.#wait(() => isSatisfied(this.#window, directives) || this.#sessionId !== session, signal);
    }
    await this.#requireMedia(signal);
    this.#media ??= renderMedia(this.#window, { targetMs: this.#options.rules.targetMs });
    const delta = directives.skip && this.#media.delta !== this.#media.full;
    return this.#render(delta ? 'delta' : 'full', delta ? this.#media.delta : this.#media.full, token);
  }

  /** The multivariant playlist. Rejects with NOT_FOUND while there is no media. */
  async multivariant(token: string | null, signal: AbortSignal): Promise<RenderedPlaylist> {
    this.#asked();
    await this.#requireMedia(signal);
    const text = renderMultivariant(this.#window);
    if (text === null) throw this.#none();
    return new Rendering(withQuery(text, token));
  }

  /** An init segment, a segment or a part; the part that the preload hint names is waited for. Rejects with NOT_FOUND for anything else. */
  async resource(name: string, signal: AbortSignal): Promise<HlsResource> {
    this.#asked();
    if (this.#window.hint === name) await this.#wait(() => this.#window.hint !== name, signal);
    const resource = this.#window.get(name);
    if (!resource) throw this.#closed ?? new MediaError('NOT_FOUND', 'There is no such part or segment (any more).');
    return resource;
  }

  /** Takes no more media and lets go what there is; requests that wait, and those that come, are refused with `why`. Idempotent. */
  close(why: MediaError): void {
    if (this.#closed) return;
    this.#closed = why;
    this.#resources.dispose();
    this.#clearing?.[Symbol.dispose]();
    this.#window.clear();
    for (const waiter of this.#waiters) waiter.refuse(why);
    this.#changed();
  }

  [Symbol.dispose](): void {
    this.close(notYet());
  }

  #none(): MediaError {
    return this.#closed ?? notYet();
  }

  #asked(): void {
    this.#askedAt = this.#options.clock.monotonic();
  }

  /** Nothing is 404; a first segment that is being received is waited for: a player told 404 now would give up. */
  async #requireMedia(signal: AbortSignal): Promise<void> {
    const playable = (): boolean => this.#window.playable;
    if (playable()) return;
    const coming = (): boolean => this.#window.segments.length > 0 || (this.#options.onDemand === true && this.#source.session?.phase === 'live');
    if (coming()) await this.#wait(() => playable() || !coming(), signal);
    if (!playable()) throw this.#none();
  }

  /** Waits for the next part if it is due, for one part's time at most. Where many wait already, nobody is refused for this. */
  async #awaitFresh(signal: AbortSignal): Promise<void> {
    const target = this.#window.partTargetMs;
    const added = this.#addedAt;
    const age = this.#options.clock.monotonic() - added;
    if (this.#window.ended || age <= target * FRESH_SHARE || age >= target || this.#waiters.size >= MAX_WAITERS) return;
    let late = false;
    using _deadline = this.#options.clock.after(target, () => {
      late = true;
      this.#check();
    });
    await this.#wait(() => late || this.#addedAt !== added || this.#window.ended, signal);
  }

  #add(recorded: Part): void {
    this.#begun ||= recorded.randomAccess;
    if (!this.#begun) return;
    const watched = this.#options.clock.monotonic() - this.#askedAt < WATCHED_MS;
    const part = this.#sound.add(recorded, watched);
    if (part === null) return;
    this.#addedAt = this.#options.clock.monotonic();
    if (part.sessionId !== this.#sessionId) {
      this.#sessionId = part.sessionId;
      this.#clearing?.[Symbol.dispose]();
      this.#clearing = null;
    }
    this.#window.add(part, watched);
    this.#changed();
  }

  #onSession(session: SessionInfo): void {
    if (session.id !== this.#sessionId) {
      this.#check();
      return;
    }
    if (session.phase === 'interrupted') this.#window.interrupt();
    else if (session.phase === 'ended') {
      this.#window.end();
      this.#clearing?.[Symbol.dispose]();
      this.#clearing = this.#options.clock.after(ENDED_MS, () => {
        this.#window.clear();
        this.#sessionId = null;
        this.#changed();
      });
    } else return;
    this.#changed();
  }

  /** The playlist is another one now: whoever waited for it is answered. */
  #changed(): void {
    this.#media = null;
    this.#rendered.clear();
    this.#check();
  }

  #check(): void {
    for (const waiter of this.#waiters) if (waiter.check()) waiter.finish();
  }

  #wait(check: () => boolean, signal: AbortSignal): Promise<void> {
    if (this.#waiters.size >= MAX_WAITERS) {
      return Promise.reject(notNow('Too many requests wait for this camera.'));
    }
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#waiters.delete(waiter);
        signal.removeEventListener('abort', onAbort);
      };
      const refuse = (why: MediaError): void => {
        settle();
        reject(why);
      };
      const onAbort = (): void => { refuse(notNow('The client hung up.')); };
      const waiter: Waiter = {
        check,
        finish: () => { settle(); resolve(); },
        due: this.#options.clock.monotonic() + 3 * this.#options.rules.targetMs,
        refuse,
      };
      signal.addEventListener('abort', onAbort);
      this.#waiters.add(waiter);
      if (signal.aborted) onAbort();
    });
  }

  #sweep(): void {
    const now = this.#options.clock.monotonic();
    for (const waiter of this.#waiters) {
      if (waiter.due > now) break; // all wait equally long, so the first one in is the first due
      waiter.refuse(notNow('Nothing new came from the camera.'));
    }
  }

  #render(kind: 'full' | 'delta', text: string, token: string | null): RenderedPlaylist {
    const key = token === null ? kind : `${kind}?${token}`;
    let rendering = this.#rendered.get(key);
    if (!rendering) {
      rendering = new Rendering(withQuery(text, token));
      if (this.#rendered.size < MAX_TOKENS) this.#rendered.set(key, rendering);
    }
    return rendering;
  }
}

class Rendering implements RenderedPlaylist {
  readonly plain: Buffer;
  #gzip: Buffer | null = null;

  constructor(text: string) {
    this.plain = Buffer.from(text);
  }

  gzip(): Buffer {
    return (this.#gzip ??= gzipSync(this.plain, { level: 1 }));
  }
}

const notNow = (why: string): MediaError => new MediaError('UNAVAILABLE', why, { retryAfterSeconds: 1 });
const notYet = (): MediaError => new MediaError('NOT_FOUND', 'There is no video of this camera now.', { reason: 'NO_MEDIA', retryAfterSeconds: 1 });
