import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { beginSession, SILENCE_LIMIT_MS, stepSession } from './session-state.ts';
import type { SessionEvent, SessionState } from './session-state.ts';

const GRACE = 15_000;
const run = (state: SessionState, ...events: readonly (readonly [at: number, event: SessionEvent])[]): SessionState =>
  events.reduce((current, [at, event]) => stepSession(current, event, at, GRACE).state, state);

describe('a session', () => {
  test('is connecting until the first access unit, then live', () => {
    const state = beginSession(0);
    expect(state.phase).toBe('connecting');
    expect(run(state, [1, { type: 'media' }])).toEqual({ phase: 'live' });
  });

  test('[ING-9] whose publisher is lost waits the grace time for it and then ends', () => {
    const interrupted = run(beginSession(0), [1, { type: 'media' }], [100, { type: 'lost', reason: 'gone' }]);
    expect(interrupted).toEqual({ phase: 'interrupted', until: 100 + GRACE, reason: 'gone' });
    expect(run(interrupted, [100 + GRACE - 1, { type: 'tick', lastUnitAt: 50 }])).toBe(interrupted);
    expect(run(interrupted, [100 + GRACE, { type: 'tick', lastUnitAt: 50 }])).toEqual({ phase: 'ended', reason: 'publisher did not return' });
  });

  test('[ING-9] goes on when a publisher returns within the grace time', () => {
    const state = run(beginSession(0), [1, { type: 'media' }], [100, { type: 'lost', reason: 'gone' }], [200, { type: 'published' }]);
    expect(state).toEqual({ phase: 'connecting', since: 200 });
  });

  test('without a grace time ends with its publisher', () => {
    expect(stepSession(beginSession(0), { type: 'lost', reason: 'gone' }, 5, 0).state).toEqual({ phase: 'ended', reason: 'gone' });
  });

  test('ends at once when the publisher says goodbye, also while interrupted', () => {
    expect(run(beginSession(0), [5, { type: 'left', reason: 'TEARDOWN' }])).toEqual({ phase: 'ended', reason: 'TEARDOWN', left: true });
    expect(run(beginSession(0), [5, { type: 'lost', reason: 'gone' }], [6, { type: 'left', reason: 'camera removed' }]).phase).toBe('ended');
  });

  test('[ING-9] gives a publisher up that sends nothing for 10 s, and one that never begins', () => {
    const silent = stepSession({ phase: 'live' }, { type: 'tick', lastUnitAt: 1_000 }, 1_000 + SILENCE_LIMIT_MS, GRACE);
    expect(silent.closePublisher).toBe(true);
    expect(silent.state.phase).toBe('interrupted');
    const never = stepSession(beginSession(0), { type: 'tick', lastUnitAt: null }, SILENCE_LIMIT_MS, GRACE);
    expect(never.closePublisher).toBe(true);
    expect(stepSession({ phase: 'live' }, { type: 'tick', lastUnitAt: 1_000 }, 999 + SILENCE_LIMIT_MS, GRACE)).toEqual({ state: { phase: 'live' }, closePublisher: false });
  });

  test('that ended stays ended, whatever comes', () => {
    const event = fc.oneof(
      fc.constant<SessionEvent>({ type: 'published' }), fc.constant<SessionEvent>({ type: 'media' }), fc.constant<SessionEvent>({ type: 'lost', reason: 'r' }),
      fc.constant<SessionEvent>({ type: 'left', reason: 'r' }), fc.constant<SessionEvent>({ type: 'tick', lastUnitAt: null }));
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(100_000), event)), (events) => {
      let state = beginSession(0);
      let now = 0;
      let ended = false;
      for (const [wait, next] of events) {
        now += wait;
        state = stepSession(state, next, now, GRACE).state;
        if (ended) expect(state.phase).toBe('ended');
        ended = state.phase === 'ended';
      }
    }));
  });
});
