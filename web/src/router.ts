import { useEffect, useState } from 'preact/hooks';

const CHANGED = 'imageflow:navigate';

/** Goes to `path` without loading the page anew. */
export const navigate = (path: string): void => {
  history.pushState(null, '', path);
  dispatchEvent(new Event(CHANGED));
};

let popped = false;
addEventListener('popstate', () => { popped = true; });
addEventListener(CHANGED, () => { popped = false; });

/** Whether the back or forward button led to where we are. */
export const cameBack = (): boolean => popped;

/** Changes the address without a step for the back button. */
export const replaceAddress = (path: string): void => {
  history.replaceState(history.state, '', path);
  dispatchEvent(new Event(CHANGED));
};

/** The current path and query (with its `?`); the component renders again when one changes. */
export const useAddress = (): { readonly path: string; readonly search: string } => {
  const [address, setAddress] = useState(() => ({ path: location.pathname, search: location.search }));
  useEffect(() => {
    const update = (): void => {
      const { pathname: path, search } = location;
      setAddress((old) => (old.path === path && old.search === search ? old : { path, search }));
    };
    addEventListener('popstate', update);
    addEventListener(CHANGED, update);
    return () => {
      removeEventListener('popstate', update);
      removeEventListener(CHANGED, update);
    };
  }, []);
  return address;
};

/** Attributes of a link inside the application. */
export const linkTo = (path: string) => ({
  href: path,
  onClick: (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    navigate(path);
  },
});
