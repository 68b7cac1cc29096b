import type { BoxMessage } from './boxes.ts';

type DrawnDetection = Pick<BoxMessage['detections'][number], 'class_name' | 'class_id' | 'confidence' | 'track_id'>;

const COLOURS = ['#f59e0b', '#38bdf8', '#a3e635', '#f472b6', '#c084fc', '#fb7185', '#2dd4bf', '#facc15'] as const;

/** One for each track, so that it is seen to be the same object; without tracks one for each class. Tracks that began one after the other differ. */
export const colourOf = ({ class_id: classId, track_id: trackId }: DrawnDetection): string => {
  const track = trackId === null ? Number.NaN : Number(trackId);
  return COLOURS[(Number.isSafeInteger(track) ? track : classId) % COLOURS.length] ?? COLOURS[0];
};

/** `scratch #12 87 %`; where there is little room without the confidence. */
export const labelOf = ({ class_name: className, track_id: trackId, confidence }: DrawnDetection, small: boolean): string =>
  [className, trackId !== null && `#${trackId}`, !small && `${Math.round(confidence * 100)} %`].filter((part) => part !== false).join(' ');
