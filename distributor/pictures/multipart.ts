/** `multipart/x-mixed-replace`, one picture a part, as browsers and players of MJPEG read it. Pure. */
import type { LivePicture } from '../../extractor/port.ts';
import { pictureHeaders } from './picture-headers.ts';

const BOUNDARY = 'imageflow-picture';

export const MULTIPART_TYPE = `multipart/x-mixed-replace; boundary=${BOUNDARY}`;

/** Before the first part. */
export const MULTIPART_BEGIN = Buffer.from(`--${BOUNDARY}\r\n`);
/** Behind each part at once, and not before the next: a browser shows a part when it has seen where it ends. */
export const PART_END = Buffer.from(`\r\n--${BOUNDARY}\r\n`);

/** The head of a part; the picture's bytes follow, then `PART_END`. */
export const partHead = (picture: LivePicture): Buffer => {
  const lines = Object.entries(pictureHeaders(picture)).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${lines.join('')}\r\n`, 'latin1');
};
