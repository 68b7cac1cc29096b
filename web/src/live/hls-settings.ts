/** Of hls.js, for live video: near the live edge, and back to it by playing a little faster after a hold-up, instead of staying behind for good. */
export const LIVE_HLS_SETTINGS = { lowLatencyMode: true, liveSyncMode: 'edge', maxLiveSyncPlaybackRate: 1.1 } as const;
