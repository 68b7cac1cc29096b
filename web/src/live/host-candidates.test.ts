import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { hostCandidates } from './host-candidates.ts';

type Listener = (event: { candidate: RTCIceCandidate | null }) => void;

const connection = () => {
  const listeners = new Set<Listener>();
  const pc = {
    addEventListener: (_type: string, listener: Listener) => { listeners.add(listener); },
    removeEventListener: (_type: string, listener: Listener) => { listeners.delete(listener); },
  } as unknown as Pick<RTCPeerConnection, 'addEventListener' | 'removeEventListener'>;
  const emit = (candidate: object | null): void => { for (const listener of listeners) listener({ candidate: candidate as RTCIceCandidate | null }); };
  return { pc, emit, listeners };
};

/** What the wait came to after so many milliseconds. */
const waiting = (pc: Parameters<typeof hostCandidates>[0]): { readonly over: boolean } => {
  const state = { over: false };
  void hostCandidates(pc, () => Promise.resolve()).then(() => { state.over = true; });
  return state;
};

beforeEach(() => { vi.useFakeTimers(); });
afterEach(() => { vi.useRealTimers(); });

describe('the browser\'s own addresses', () => {
  test('are waited for until none came for 10 ms, not until all of gathering is over', async () => {
    const { pc, emit, listeners } = connection();
    const state = waiting(pc);
    await vi.advanceTimersByTimeAsync(100);
    emit({});
    await vi.advanceTimersByTimeAsync(9);
    emit({});
    await vi.advanceTimersByTimeAsync(9);
    expect(state.over).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(state.over).toBe(true);
    expect(listeners.size).toBe(0);
  });

  test('a browser that has none, or that says so, is not waited for longer', async () => {
    const silent = waiting(connection().pc);
    await vi.advanceTimersByTimeAsync(299);
    expect(silent.over).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(silent.over).toBe(true);

    const { pc, emit } = connection();
    const told = waiting(pc);
    emit(null);
    await vi.advanceTimersByTimeAsync(0);
    expect(told.over).toBe(true);
  });

  test('a failure to begin is the caller\'s', async () => {
    const { pc, listeners } = connection();
    await expect(hostCandidates(pc, () => Promise.reject(new Error('closed')))).rejects.toThrow('closed');
    expect(listeners.size).toBe(0);
  });
});
