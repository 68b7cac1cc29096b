import type { Camera } from '../api.ts';
import { rateInWords } from '../live/rate-words.ts';
import { moment } from '../recordings/moments.ts';

/** Says that a camera is detected at fewer pictures a second than it should be, or with a lighter model, since when and why; nothing else. */
export const DetectionRate = (props: { camera: Camera }) => {
  const rate = props.camera.stats?.detection?.qos;
  const words = rate ? rateInWords(rate, moment) : null;
  return words && <p class="note" role="status" data-note="detection-rate">{words}</p>;
};
