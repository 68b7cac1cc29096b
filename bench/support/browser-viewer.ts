import type { Page } from 'playwright-core';

/** Unix milliseconds of this machine's clock, as a page's `performance.timeOrigin + performance.now()`. */
export interface ShownPicture {
  readonly rtpTimestamp: number;
  readonly at: number;
}

interface WatchPage {
  watched: Record<string, { readonly pc: RTCPeerConnection; readonly video: HTMLVideoElement; readonly shown: ShownPicture[] }>;
}

/** Unix ms of the page's clock. */
export interface WatchBegan {
  readonly began: number;
  readonly posted: number;
}

/**
 * Begins to play a camera by WHEP in the page as the viewer `name`, its own addresses in the offer as our pages do (`host-candidates.ts`). Every
 * picture shown is noted.
 */
export const beginWatching = (page: Page, url: string, token: string, name: string): Promise<WatchBegan> =>
  page.evaluate(async ([from, bearer, as]) => {
    const now = (): number => performance.timeOrigin + performance.now();
    const scope = globalThis as unknown as Partial<WatchPage>;
    const began = now();
    const pc = new RTCPeerConnection();
    const video = document.createElement('video');
    video.muted = true;
    video.autoplay = true;
    video.style.width = '60%';
    document.body.append(video);
    const shown: ShownPicture[] = [];
    (scope.watched ??= {})[String(as)] = { pc, video, shown };
    pc.addTransceiver('video', { direction: 'recvonly' });
    pc.ontrack = (event) => { video.srcObject = new MediaStream([event.track]); };
    const note: VideoFrameRequestCallback = (_time, frame) => {
      shown.push({ rtpTimestamp: frame.rtpTimestamp ?? 0, at: now() });
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
    const gathered = new Promise<void>((resolve) => {
      let quiet: ReturnType<typeof setTimeout> | undefined;
      pc.onicecandidate = () => { clearTimeout(quiet); quiet = setTimeout(resolve, 10); };
    });
    await pc.setLocalDescription();
    await gathered;
    const posted = now();
    const answer = await fetch(String(from), { method: 'POST', headers: { 'content-type': 'application/sdp', 'authorization': `Bearer ${String(bearer)}` }, body: pc.localDescription?.sdp ?? '' });
    if (answer.status !== 201) throw new Error(`${answer.status}: ${await answer.text()}`);
    await pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
    return { began, posted };
  }, [url, token, name]);

export const shownPictures = (page: Page, name: string): Promise<{ readonly state: string; readonly shown: readonly ShownPicture[] }> =>
  page.evaluate((of) => {
    const viewer = (globalThis as unknown as WatchPage).watched[of];
    if (!viewer) throw new Error(`no viewer ${of}`);
    return { state: viewer.pc.connectionState, shown: viewer.shown };
  }, name);

export const endWatching = (page: Page, name: string): Promise<void> =>
  page.evaluate((of) => {
    const viewer = (globalThis as unknown as WatchPage).watched[of];
    viewer?.pc.close();
    viewer?.video.remove();
  }, name);

/** What to add to `machineMs` to get Unix milliseconds as a page tells them. */
export const wallOffset = (machine: () => number): number => performance.timeOrigin + performance.now() - machine();
