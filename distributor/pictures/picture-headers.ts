import type { LivePicture } from '../../extractor/port.ts';
import { MEDIA_TYPES } from './picture-query.ts';

/** What the picture is and which one: its type, length, FrameRef, the time of its capture on the server's clock, and of which frame the boxes drawn in are. */
export const pictureHeaders = ({ format, bytes, frame, capturedAt, drawn }: LivePicture): Readonly<Record<string, string>> => ({
  'content-type': MEDIA_TYPES[format],
  'content-length': String(bytes.length),
  'x-picture-time': new Date(capturedAt).toISOString(),
  'x-picture-epoch': String(frame.epoch),
  'x-picture-rtp-timestamp': String(frame.rtpTs),
  'x-picture-sequence': String(frame.seq),
  ...(drawn ? { 'x-picture-boxes': drawn.how, 'x-picture-boxes-age': String(Math.round(drawn.ageMs)) } : {}),
});

/** Strong: the same picture at the same size and quality, with or without boxes, is the same bytes. */
export const pictureEtag = ({ format, frame, width, height, drawn }: LivePicture, quality: number): string =>
  `"${String(frame.epoch)}-${String(frame.rtpTs)}-${String(width)}x${String(height)}-${format}${format === 'png' ? '' : String(quality)}${drawn ? '-annotated' : ''}"`;
