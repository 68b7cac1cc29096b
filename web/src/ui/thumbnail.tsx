import { useEffect, useRef, useState } from 'preact/hooks';
import { thumbnail } from '../recordings/thumbnails.ts';

const WIDTH = 320;

/** A picture of a moment (Unix ms), asked for when it comes into sight; a quiet ground while there is none. */
export const Thumbnail = (props: { camera: string; at: number }) => {
  const { camera, at } = props;
  const box = useRef<HTMLDivElement>(null);
  const [source, setSource] = useState<string | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    setSource(null);
    setFailed(false);
    let wish = new AbortController();
    const watch = new IntersectionObserver((entries) => {
      const entry = entries.at(-1);
      wish.abort();
      if (!entry?.isIntersecting) return;
      const mine = new AbortController();
      wish = mine;
      thumbnail(camera, at, WIDTH, mine.signal).then(setSource).catch(() => { if (!mine.signal.aborted) setFailed(true); });
    }, { rootMargin: '200px' });
    if (box.current) watch.observe(box.current);
    return () => { wish.abort(); watch.disconnect(); };
  }, [camera, at]);
  return (
    <div ref={box} class="thumb" data-state={source !== null ? 'shown' : failed ? 'failed' : 'waiting'}>
      {source !== null && <img src={source} alt="" decoding="async" onError={() => { setSource(null); setFailed(true); }} />}
      {failed && <span class="muted">No picture</span>}
    </div>
  );
};
