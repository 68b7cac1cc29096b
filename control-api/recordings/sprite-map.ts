/** WebVTT whose cues are places in a picture (Media Fragments URI 1.0 §4.2.2), as players take it for the previews of their time bar. Pure. */
import type { Milliseconds } from '../../core/units.ts';
import type { SpriteSheet } from '../../recorder/port.ts';

/** `query`: of the request, the same for the picture; with its `?`. */
export const renderSpriteMap = (tiles: SpriteSheet['tiles'], query: string): string =>
  `WEBVTT\n\n${tiles.map(({ from, to, left, top, width, height }) => `${time(from)} --> ${time(to)}\nsprites${query}#xywh=${[left, top, width, height].join(',')}\n`).join('\n')}`;

const time = (ms: Milliseconds): string => {
  const whole = Math.round(ms);
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  return `${two(whole / 3_600_000)}:${two((whole / 60_000) % 60)}:${two((whole / 1000) % 60)}.${String(whole % 1000).padStart(3, '0')}`;
};
