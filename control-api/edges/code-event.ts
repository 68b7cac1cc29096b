import { CODE_FORMATS } from '../../core/code-formats.ts';
import type { CodeSeen } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import { videoOf } from '../events/service.ts';
import type { CodeEvent, NewEvent } from '../events/service.ts';

/** Nobody is asked what was made then: an event is told within the transaction that stores it. */
const NO_PRODUCT: CodeEvent['product_info'] = { work_order_id: null, instruction_id: null, product_type: null, machine_number: null };

/** The event that a printed code has come into a camera's picture [PRO-2]; none for a kind that only a newer edge knows. */
export const codeEvent = (seen: CodeSeen): readonly NewEvent[] => {
  const { camera, format: name, text = null, bytes, corners, firstSeen, at, epoch, rtpTimestamp, sequence } = seen;
  const format = CODE_FORMATS.find((each) => each === name);
  if (format === undefined) return [];
  const body = {
    event_type: 'code_seen', ...videoOf({ camera, from: firstSeen, to: at }), product_info: NO_PRODUCT,
    code: {
      format, text, bytes: bytes === undefined ? null : Buffer.from(bytes).toString('base64'), corners: corners.map(({ x, y }) => [x, y]),
      epoch, rtp_timestamp: rtpTimestamp, sequence: Number(sequence),
    },
  };
  return [{ topic: 'video-analysis-events', camera, at: Math.round(at), body }];
};
