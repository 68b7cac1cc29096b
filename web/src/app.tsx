import { useEffect, useState } from 'preact/hooks';
import { api } from './api.ts';
import { CameraPage } from './pages/camera.tsx';
import { Login } from './pages/login.tsx';
import { Models } from './pages/models.tsx';
import { Recordings } from './pages/recordings.tsx';
import { ScenePage } from './pages/scene.tsx';
import { Search } from './pages/search.tsx';
import { Wall } from './pages/wall.tsx';
import { linkTo, useAddress } from './router.ts';
import { accessToken, onSignedOut } from './session.ts';
import { Missing } from './ui/missing.tsx';

const CAMERA = /^\/cameras\/([a-z0-9][a-z0-9-]*)(\/recordings|\/scene)?\/?$/;

export const App = () => {
  const [signedIn, setSignedIn] = useState(accessToken() !== null);
  const { path, search } = useAddress();
  useEffect(() => onSignedOut(() => setSignedIn(false)), []);
  if (!signedIn) return <Login onSignedIn={() => setSignedIn(true)} />;
  const match = CAMERA.exec(path);
  const camera = match?.[1];
  const page = camera === undefined
    ? path === '/' ? <Wall /> : path === '/recordings' ? <Search search={search} /> : path === '/models' ? <Models /> : <Missing what="There is no such page." />
    : match?.[2] === '/recordings' ? <Recordings key={camera} id={camera} /> : match?.[2] === '/scene' ? <ScenePage key={camera} id={camera} /> : <CameraPage key={camera} id={camera} />;
  return (
    <>
      <header class="bar">
        <a class="brand" {...linkTo('/')}><img src="/icon.svg" alt="" width="24" height="24" /><span>ImageFlow Edge</span></a>
        <nav aria-label="Main">
          <a {...linkTo('/')} aria-current={path === '/' ? 'page' : undefined}>Live wall</a>
          <a {...linkTo('/recordings')} aria-current={path === '/recordings' ? 'page' : undefined}>Recordings</a>
          <a {...linkTo('/models')} aria-current={path === '/models' ? 'page' : undefined}>Models</a>
          <button type="button" class="quiet" onClick={() => void api.logout()}>Sign out</button>
        </nav>
      </header>
      <main>{page}</main>
    </>
  );
};
