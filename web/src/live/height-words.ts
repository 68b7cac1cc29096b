import { sinceAndWhy } from './rate-words.ts';
import type { DetectionRate } from './rate-words.ts';

/** How large the largest pictures are, or the video with boxes burned in, that somebody watches of a camera, as the edge's figures tell it. */
export interface ShownHeight extends Pick<DetectionRate, 'since' | 'cause'> {
  /** Pixels. */
  readonly height: number;
  /** While the machine has time for all. */
  readonly full_height: number;
}

/** Nothing while a camera is shown as large as it should be. `at` says a moment as the page does. */
export const heightInWords = ({ height, full_height: full, ...change }: ShownHeight, at: (moment: number) => string): string | null =>
  (height >= full ? null : `Burned-in video and pictures for other programs are ${String(height)} of ${String(full)} lines high${sinceAndWhy(change, at)}.`);
