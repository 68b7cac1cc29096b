import { useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { api } from '../api.ts';
import type { Camera } from '../api.ts';
import { linkTo, navigate } from '../router.ts';
import { may } from '../session.ts';
import { Alarms } from '../ui/alarms.tsx';
import { LiveView } from '../ui/live-view.tsx';
import { SessionBadge } from '../ui/session-badge.tsx';
import { usePolling } from '../ui/use-polling.ts';
import { isOn, useRecentlyOn } from '../ui/use-recently-on.ts';

const MAX_TILES = 16;
const REFRESH_MS = 2000;

/** The cameras, asked for again and again; null before the first answer. */
const useCameras = (): { cameras: readonly Camera[] | null; failure: string | null } => {
  const [cameras, setCameras] = useState<readonly Camera[] | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const reload = (): Promise<void> => api.cameras().then((list) => { setCameras(list); setFailure(null); }).catch((error: unknown) => setFailure(inWords(error)));
  usePolling(reload, REFRESH_MS, []);
  return { cameras, failure };
};

export const Wall = () => {
  const { cameras, failure } = useCameras();
  const [adding, setAdding] = useState(false);
  const recentlyOn = useRecentlyOn();
  if (!cameras) return <p class="empty" role="status">{failure ?? 'Loading cameras…'}</p>;
  const byName = [...cameras].sort((a, b) => a.name.localeCompare(b.name));
  const on = byName.filter(recentlyOn);
  const tiles = on.slice(0, MAX_TILES);
  const idle = byName.filter((camera) => !on.includes(camera));
  return (
    <section class="wall-page">
      <div class="title">
        <div class="name"><h1>Live wall</h1><span class="muted">{cameras.filter(isOn).length} of {cameras.length} live</span></div>
        {may('camera:manage') && <button type="button" class={cameras.length === 0 ? 'primary' : ''} onClick={() => setAdding(!adding)} aria-expanded={adding}>Add camera</button>}
      </div>
      {failure && <p class="failure" role="alert">{failure}</p>}
      <Alarms nameOf={(id) => cameras.find((camera) => camera.id === id)?.name ?? id} />
      {adding && <AddCamera onAdded={(id) => { setAdding(false); navigate(`/cameras/${id}`); }} />}
      {cameras.length === 0 && <div class="empty"><p>No cameras yet.</p><p class="muted">Add one, then publish to it from a camera, OBS, ffmpeg, or this browser.</p></div>}
      {tiles.length > 0 && (
        <div class={`wall tiles-${Math.min(tiles.length, 9)}`}>
          {tiles.map((camera) => (
            <a key={camera.id} class="tile" aria-label={`Open ${camera.name}`} {...linkTo(`/cameras/${camera.id}`)}>
              <LiveView camera={camera} mode="exact" muted />
              <span class="caption"><strong>{camera.name}</strong><SessionBadge session={camera.session ?? null} /></span>
            </a>
          ))}
        </div>
      )}
      {on.length > MAX_TILES && <p class="muted">Playing {MAX_TILES} of {on.length} live cameras.</p>}
      {[...on.slice(MAX_TILES), ...idle].length > 0 && (
        <>
          {idle.length > 0 && <h2 class="idle-head">Not publishing <small class="muted">open one to see how</small></h2>}
          <ul class="idle-list">
            {[...on.slice(MAX_TILES), ...idle].map((camera) => (
              <li key={camera.id}><a {...linkTo(`/cameras/${camera.id}`)}><strong>{camera.name}</strong>{camera.distribution.state === 'off' && <small class="muted">live view off</small>}<SessionBadge session={camera.session ?? null} /></a></li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
};

const AddCamera = (props: { onAdded: (id: string) => void }) => {
  const [failure, setFailure] = useState<string | null>(null);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    try {
      const camera = await api.addCamera(form.get('id') as string, (form.get('name') as string) || (form.get('id') as string));
      sessionStorage.setItem(`publish-key:${camera.id}`, camera.publish_key);
      props.onAdded(camera.id);
    } catch (error) {
      setFailure(inWords(error));
    }
  };
  return (
    <form class="card row" onSubmit={(event) => void submit(event)}>
      <label>Id<input name="id" required pattern="[a-z0-9][a-z0-9\-]{0,62}" placeholder="line-1" autocapitalize="none" title="Small letters, digits and hyphens" autofocus /></label>
      <label>Name<input name="name" placeholder="Line 1" /></label>
      <button type="submit" class="primary">Add</button>
      {failure && <p class="failure" role="alert">{failure}</p>}
    </form>
  );
};
