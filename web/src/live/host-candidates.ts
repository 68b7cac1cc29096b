/**
 * How long a browser's own addresses may take: they come within milliseconds of one another. All of gathering takes 130 ms in
 * Chromium, for addresses that are of no use on the server's network; an offer without any costs another 50 ms and more (the server has to be found first).
 */
const QUIET_MS = 10;
const DEADLINE_MS = 300;

/** Calls `begin`, which begins to gather; resolves once the browser's own addresses are in the local description, or will not come. */
export const hostCandidates = async (pc: Pick<RTCPeerConnection, 'addEventListener' | 'removeEventListener'>, begin: () => Promise<void>): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const done = (): void => { resolve(undefined); };
  const deadline = setTimeout(done, DEADLINE_MS);
  let quiet: ReturnType<typeof setTimeout> | undefined;
  const onCandidate = ({ candidate }: Pick<RTCPeerConnectionIceEvent, 'candidate'>): void => {
    clearTimeout(quiet);
    if (candidate === null) done();
    else quiet = setTimeout(done, QUIET_MS);
  };
  pc.addEventListener('icecandidate', onCandidate);
  try {
    await begin();
    await promise;
  } finally {
    clearTimeout(deadline);
    clearTimeout(quiet);
    pc.removeEventListener('icecandidate', onCandidate);
  }
};
