import { useEffect, useState } from 'preact/hooks';

const CHANGED = 'imageflow:navigate';

/** Goes to `path` without loading the page anew. */
export const navigate = (path: string): void => {
  history.pushState(null, '', path);
  dispatchEvent(new Event(CHANGED));
};

/** The current path; the component renders again when it changes. */
export const usePath = (): string => {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const update = (): void => setPath(location.pathname);
    addEventListener('popstate', update);
    addEventListener(CHANGED, update);
    return () => {
      removeEventListener('popstate', update);
      removeEventListener(CHANGED, update);
    };
  }, []);
  return path;
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
