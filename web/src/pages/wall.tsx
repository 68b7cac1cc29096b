import { useEffect, useState } from 'preact/hooks';
import { api } from '../api.ts';
import type { Camera } from '../api.ts';
import { linkTo, navigate } from '../router.ts';
import { LiveView } from '../ui/live-view.tsx';
import { SessionBadge } from '../ui/session-badge.tsx';

const MAX_TILES = 16;
const REFRESH_MS = 3000;

/** The cameras, asked for again and again; null before the first answer. */
const useCameras = (): { cameras: readonly Camera[] | null; failure: string | null; reload: () => void } => {
  const [cameras, setCameras] = useState<readonly Camera[] | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const reload = (): void => {
    void api.cameras().then((list) => { setCameras(list); setFailure(null); }).catch((error: unknown) => setFailure(error instanceof Error ? error.message : String(error)));
  };
  useEffect(() => {
    reload();
    const timer = setInterval(reload, REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  return { cameras, failure, reload };
};

const isOn = (camera: Camera): boolean => camera.session?.phase === 'live' || camera.session?.phase === 'interrupted';

export const Wall = () => {
  const { cameras, failure, reload } = useCameras();
  const [adding, setAdding] = useState(false);
  if (!cameras) return <p class="empty" role="status">{failure ?? 'Loading cameras…'}</p>;
  const tiles = [...cameras].sort((a, b) => Number(isOn(b)) - Number(isOn(a)) || a.name.localeCompare(b.name)).slice(0, MAX_TILES);
  return (
    <section class="wall-page">
      <div class="title">
        <h1>Live wall</h1>
        <span class="muted">{cameras.filter(isOn).length} of {cameras.length} live</span>
        <button type="button" class="primary" onClick={() => setAdding(!adding)} aria-expanded={adding}>Add a camera</button>
      </div>
      {failure && <p class="failure" role="alert">{failure}</p>}
      {adding && <AddCamera onAdded={(id) => { setAdding(false); reload(); navigate(`/cameras/${id}`); }} />}
      {tiles.length === 0 ? (
        <div class="empty"><p>No cameras yet.</p><p class="muted">Add one, then publish to it from a camera, OBS, ffmpeg, or this browser.</p></div>
      ) : (
        <div class={`wall tiles-${Math.min(tiles.length, 9)}`}>
          {tiles.map((camera) => (
            <a key={camera.id} class="tile" aria-label={`Open ${camera.name}`} {...linkTo(`/cameras/${camera.id}`)}>
              {isOn(camera)
                ? <LiveView camera={camera} mode="exact" muted />
                : <div class="picture idle"><div class="veil"><span class="dot idle" aria-hidden="true" /><strong>No camera is publishing</strong><small>Open to see how to publish</small></div></div>}
              <span class="caption"><strong>{camera.name}</strong><SessionBadge session={camera.session ?? null} /></span>
            </a>
          ))}
        </div>
      )}
      {cameras.length > MAX_TILES && <p class="muted">Showing {MAX_TILES} of {cameras.length} cameras, live ones first.</p>}
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
      setFailure(error instanceof Error ? error.message : String(error));
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
