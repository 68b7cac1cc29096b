import { unreachable } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';

/** A publisher that sends no access unit for so long is given up (RTP timeout, ING-9). */
export const SILENCE_LIMIT_MS = 10_000;

/**
 * One conversation with a camera (ING-9). Pure: no timers, no clock; `EdgeCameraStream` performs the effects. Times are monotonic.
 *
 *     connecting ──picture──► live ──lost──► interrupted ──published──► connecting (the same session)
 *          └────────lost─────────────────────────▲ └──grace over──► ended
 *     any ──left──► ended
 */
export type SessionState =
  | { readonly phase: 'connecting'; readonly since: Milliseconds }
  | { readonly phase: 'live' }
  | { readonly phase: 'interrupted'; readonly until: Milliseconds; readonly reason: string }
  /** `left`: on purpose, not because the publisher was lost. */
  | { readonly phase: 'ended'; readonly reason: string; readonly left?: true };

export type SessionEvent =
  /** A publisher took the stream: a new one, one that returned, or one in place of another. */
  | { readonly type: 'published' }
  /** The first access unit of a publisher came. */
  | { readonly type: 'media' }
  | { readonly type: 'lost'; readonly reason: string }
  | { readonly type: 'left'; readonly reason: string }
  /** Time passed. `lastUnitAt`: when the latest access unit of this publisher came. */
  | { readonly type: 'tick'; readonly lastUnitAt: Milliseconds | null };

export interface SessionStep {
  /** The same object when nothing changed. */
  readonly state: SessionState;
  /** The publisher fell silent: close it. */
  readonly closePublisher: boolean;
}

/** A session begins with its first publisher. */
export const beginSession = (now: Milliseconds): SessionState => ({ phase: 'connecting', since: now });

/** One transition; `graceMs` is how long a lost publisher may return (0: not at all). An ended session stays ended. */
export const stepSession = (state: SessionState, event: SessionEvent, now: Milliseconds, graceMs: Milliseconds): SessionStep => {
  if (state.phase === 'ended') return to(state);
  switch (event.type) {
    case 'published':
      return to({ phase: 'connecting', since: now });
    case 'media':
      return to(state.phase === 'connecting' ? { phase: 'live' } : state);
    case 'lost':
      return to(state.phase === 'interrupted' ? state : lose(event.reason, now, graceMs));
    case 'left':
      return to({ phase: 'ended', reason: event.reason, left: true });
    case 'tick':
      return tick(state, event.lastUnitAt, now, graceMs);
    default:
      return unreachable(event);
  }
};

const to = (state: SessionState, closePublisher = false): SessionStep => ({ state, closePublisher });

const lose = (reason: string, now: Milliseconds, graceMs: Milliseconds): SessionState =>
  graceMs > 0 ? { phase: 'interrupted', until: now + graceMs, reason } : { phase: 'ended', reason };

const tick = (state: SessionState, lastUnitAt: Milliseconds | null, now: Milliseconds, graceMs: Milliseconds): SessionStep => {
  switch (state.phase) {
    case 'connecting':
      return now - state.since < SILENCE_LIMIT_MS ? to(state) : to(lose('no picture within 10 s of publishing', now, graceMs), true);
    case 'live':
      return lastUnitAt === null || now - lastUnitAt < SILENCE_LIMIT_MS ? to(state) : to(lose('nothing received for 10 s', now, graceMs), true);
    case 'interrupted':
      return to(now < state.until ? state : { phase: 'ended', reason: 'publisher did not return' });
    case 'ended':
      return to(state);
  }
};
