import type { Camera } from '../api.ts';
import { heightInWords } from '../live/height-words.ts';
import { moment } from '../recordings/moments.ts';

/** Says that what others watch of a camera is smaller than it should be, since when and why; nothing else. The page's own video is the camera's, as it is. */
export const ShownHeight = (props: { camera: Camera }) => {
  const shown = props.camera.stats?.detection?.shown;
  const words = shown ? heightInWords(shown, moment) : null;
  return words && <p class="note" role="status" data-note="shown-height">{words}</p>;
};
