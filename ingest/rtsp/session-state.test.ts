import { describe, expect, test } from 'vitest';
import { INITIAL, stepPublish } from './session-state.ts';
import type { PublishEvent, PublishState } from './session-state.ts';

const run = (...events: readonly PublishEvent[]): { readonly state: PublishState; readonly statuses: readonly number[] } => {
  let state = INITIAL;
  const statuses = events.map((event) => {
    const step = stepPublish(state, event);
    state = step.state;
    return step.status;
  });
  return { state, statuses };
};
const announce: PublishEvent = { type: 'announce', tracks: 2 };
const setup = (track: number | null): PublishEvent => ({ type: 'setup', track });
const record = (track: number | null = null): PublishEvent => ({ type: 'record', track });
const teardown: PublishEvent = { type: 'teardown' };

describe('an RTSP publishing session', () => {
  test('goes from ANNOUNCE over SETUP of its tracks to RECORD and TEARDOWN', () => {
    expect(run(announce, setup(0), setup(1), record(), teardown)).toEqual({ state: { phase: 'closed' }, statuses: [200, 200, 200, 200, 200] });
  });

  test('answers 455 to what is not valid in its state, and stays as it was', () => {
    expect(run(setup(0), record(), teardown)).toEqual({ state: INITIAL, statuses: [455, 455, 455] });
    expect(run(announce, announce, record()).statuses).toEqual([200, 455, 455]);
    expect(run(announce, setup(0), setup(0), record(), setup(1), announce).statuses).toEqual([200, 200, 455, 200, 455, 455]);
    expect(run(announce, setup(0), record(), teardown, teardown, record()).statuses).toEqual([200, 200, 200, 200, 455, 455]);
  });

  test('answers 459 to SETUP of the whole and 460 to RECORD of a part', () => {
    expect(run(announce, setup(null), setup(0), record(0)).statuses).toEqual([200, 459, 200, 460]);
    expect(run({ type: 'announce', tracks: 1 }, setup(0), record(0)).statuses).toEqual([200, 200, 200]);
  });

  test('takes a repeated RECORD as what it is', () => {
    expect(run(announce, setup(0), record(), record())).toMatchObject({ state: { phase: 'recording' }, statuses: [200, 200, 200, 200] });
  });
});
