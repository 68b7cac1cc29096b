import { useEffect, useState } from 'preact/hooks';
import type { RefObject } from 'preact';
import type { Size } from './scene-shapes.tsx';

/** How many of a picture's pixels one pixel of the page covers where the picture is fitted into the element; follows its size. */
export const usePicturePixel = (element: RefObject<Element | null>, size: Size): number => {
  const [box, setBox] = useState<Size>({ width: 0, height: 0 });
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => { if (entry) setBox({ width: entry.contentRect.width, height: entry.contentRect.height }); });
    if (element.current) observer.observe(element.current);
    return () => { observer.disconnect(); };
  }, []);
  return box.width === 0 || box.height === 0 ? 1 : Math.max(size.width / box.width, size.height / box.height);
};
