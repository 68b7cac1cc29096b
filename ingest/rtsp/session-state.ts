/**
 * The RTSP server's side of one publishing session, RFC 2326 Appendix A.2 for RECORD. Pure: which request is valid when.
 *
 *     init ──ANNOUNCE──► announced ──SETUP (each track)──► announced ──RECORD──► recording ──TEARDOWN──► closed
 */
export type PublishState =
  | { readonly phase: 'init' }
  | { readonly phase: 'announced'; readonly tracks: number; readonly setUp: readonly number[] }
  | { readonly phase: 'recording' }
  | { readonly phase: 'closed' };

export type PublishEvent =
  | { readonly type: 'announce'; readonly tracks: number }
  /** `track` null: the URL named the whole presentation. */
  | { readonly type: 'setup'; readonly track: number | null }
  | { readonly type: 'record'; readonly track: number | null }
  | { readonly type: 'teardown' };

/** 200, or why not: 455 method not valid in this state, 459 aggregate operation not allowed, 460 only aggregate operation allowed. */
export interface PublishStep {
  readonly state: PublishState;
  readonly status: 200 | 455 | 459 | 460;
}

export const INITIAL: PublishState = { phase: 'init' };

export const stepPublish = (state: PublishState, event: PublishEvent): PublishStep => {
  const refuse = (status: PublishStep['status']): PublishStep => ({ state, status });
  switch (event.type) {
    case 'announce':
      return state.phase === 'init' ? { state: { phase: 'announced', tracks: event.tracks, setUp: [] }, status: 200 } : refuse(455);
    case 'setup':
      if (state.phase !== 'announced') return refuse(455);
      if (event.track === null) return refuse(459);
      if (state.setUp.includes(event.track)) return refuse(455); // changing the transport of a track is not offered
      return { state: { ...state, setUp: [...state.setUp, event.track] }, status: 200 };
    case 'record':
      if (state.phase === 'recording') return { state, status: 200 }; // a repeated RECORD changes nothing (§10.11)
      if (state.phase !== 'announced' || state.setUp.length === 0) return refuse(455);
      if (event.track !== null && state.tracks > 1) return refuse(460);
      return { state: { phase: 'recording' }, status: 200 };
    case 'teardown':
      return state.phase === 'init' || state.phase === 'closed' ? refuse(455) : { state: { phase: 'closed' }, status: 200 };
  }
};
