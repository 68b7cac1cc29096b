import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { DetectionResult } from '../core/detection.ts';
import { EventSchema, SegmentSchema } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import type { AlarmSchema, DetectionResultSchema, Event, Segment, SessionSchema } from '../proto/gen/imageflow/v1/media_control_pb.ts';
import type { SessionInfo } from '../ingest/port.ts';
import type { SegmentRecord } from '../recorder/port.ts';
import type { Alarm, EdgeEvent } from './port.ts';

/** Our nulls are absent fields on the wire. */
const optional = <K extends string, V>(key: K, value: V | null): Partial<Record<K, V>> => (value === null ? {} : ({ [key]: value } as Record<K, V>));

const toWireSession = (session: SessionInfo): MessageInitShape<typeof SessionSchema> => ({
  id: session.id,
  camera: session.camera,
  phase: session.phase,
  protocol: session.protocol,
  startedAt: session.startedAt,
  ...optional('endedAt', session.endedAt),
  ...optional('reason', session.reason),
  ...optional('epoch', session.epoch),
});

export const toWireSegment = (segment: SegmentRecord): Segment =>
  create(SegmentSchema, {
    id: segment.id,
    camera: segment.camera,
    sessionId: segment.sessionId,
    epoch: segment.epoch,
    start: segment.start,
    duration: segment.duration,
    bytes: BigInt(segment.bytes),
    ...optional('sha256', segment.sha256),
    open: segment.open,
    tracks: segment.tracks.map((track) => ({ kind: track.kind, codec: track.codec, ...optional('width', track.width), ...optional('height', track.height) })),
    ...optional('gapBefore', segment.gapBefore),
    ...optional('gapCause', segment.gapCause ?? null),
    ...optional('prevSha256', segment.chain?.previousSha256 ?? null),
  });

const toWireResult = (result: DetectionResult): MessageInitShape<typeof DetectionResultSchema> => ({
  camera: result.frame.stream,
  epoch: result.frame.epoch,
  rtpTimestamp: result.frame.rtpTs,
  ...optional('captureNtp', result.frame.captureNtp),
  sequence: BigInt(result.frame.seq),
  capturedAt: result.capturedAt,
  model: result.model,
  modelDigest: result.modelDigest,
  inferenceMs: result.inferenceMs,
  width: result.width,
  height: result.height,
  detections: result.detections.map(({ className, classId, confidence, bbox, trackId }) => ({
    className, classId, confidence, x: bbox.x, y: bbox.y, width: bbox.width, height: bbox.height, ...optional('trackId', trackId),
  })),
});

const toWireAlarm = (alarm: Alarm): MessageInitShape<typeof AlarmSchema> => ({
  id: alarm.id, ...optional('camera', alarm.camera), code: alarm.code, message: alarm.message, raised: alarm.raised, at: alarm.at,
});

/** An event as it travels; its sequence number is set when it is sent. */
export const toWireEvent = (event: EdgeEvent): Event => {
  switch (event.type) {
    case 'session':
      return create(EventSchema, { event: { case: 'session', value: toWireSession(event.session) } });
    case 'segment':
      return create(EventSchema, { event: { case: 'segment', value: toWireSegment(event.segment) } });
    case 'segment-expired':
      return create(EventSchema, { event: { case: 'segmentExpired', value: { id: event.id, camera: event.camera } } });
    case 'detections':
      return create(EventSchema, { event: { case: 'detections', value: { results: event.results.map(toWireResult) } } });
    case 'edge-started':
      return create(EventSchema, { event: { case: 'edgeStarted', value: { at: event.at } } });
    case 'alarm':
      return create(EventSchema, { event: { case: 'alarm', value: toWireAlarm(event.alarm) } });
    case 'rate-changed': {
      const { camera, at, from, to, full, models, cause } = event.change;
      return create(EventSchema, { event: { case: 'rateChanged', value: { camera, at, fromFps: from, toFps: to, fullFps: full, cause, models: models.map((model) => ({ detector: model.detector, fromModel: model.from, toModel: model.to, fullModel: model.full })) } } });
    }
    case 'height-changed':
      return create(EventSchema, { event: { case: 'heightChanged', value: event.change } });
    case 'rule': {
      const { place, direction, rtpTs, classes, tracks, ...same } = event.finding;
      return create(EventSchema, { event: { case: 'ruleFinding', value: { ...same, classes: [...classes], tracks: [...tracks], rtpTimestamp: rtpTs, ...optional('place', place), ...optional('direction', direction) } } });
    }
    case 'code': {
      const { text, bytes, corners, rtpTs, seq, ...same } = event.seen;
      return create(EventSchema, { event: { case: 'codeSeen', value: {
        ...same, ...optional('text', text), ...(bytes !== null && { bytes: Uint8Array.from(Buffer.from(bytes, 'base64')) }), corners: corners.map(([x, y]) => ({ x, y })), rtpTimestamp: rtpTs, sequence: BigInt(seq),
      } } });
    }
  }
};

/** How many results an event stands for. */
export const weightOf = (event: EdgeEvent): number => (event.type === 'detections' ? event.results.length : 1);
