/** The JSON of cameras and their keys (contract 0.3), strict in what it takes. */
import { z } from '@hono/zod-openapi';
import { CODE_FORMATS } from '../../core/code-formats.ts';
import { CameraId, Timestamp } from '../schemas.ts';
import { SCENE } from './scene.ts';

/** Of a camera that says nothing. */
const DEFAULT_PRIORITY = 5;

const Name = z.string().trim().min(1).max(128);

export const Source = z
  .strictObject({ type: z.enum(['push', 'rtsp', 'whep', 'file']), url: z.string().min(1).max(2048).optional() })
  .openapi('CameraSource', { description: '`push`: the camera publishes. `file`: an MP4 below `sources.file_dir` in a loop. `rtsp` and `whep` come later: 422.' });
export type Source = z.output<typeof Source>;

const DetectorId = z.string().min(1).max(128);
const DETECTOR = { id: DetectorId, fps: z.number().positive().max(60).optional(), confidence: z.number().min(0).max(1).optional(), tracking: z.boolean().optional() };
const DESCRIPTION = "`detect` (the default detector) or a model's name; as an object with its own rate and threshold, and `tracking: false` where objects need no identity from picture to picture";
/** Where nothing is live. */
export const DetectorReference = z.union([DetectorId, z.strictObject(DETECTOR)]).openapi('DetectorReference', { description: `${DESCRIPTION}.` });
const Light = z.array(z.string().min(1).max(128)).max(4).describe('Models with the same class names that it is lowered to under overload, one after the other, once it is down to 8 pictures a second; the heaviest first. Empty: none. Left out: of `detect` as `inference.default_light` of the configuration says, else none.');
export const Pipeline = z
  .union([DetectorId, z.strictObject({ ...DETECTOR, light: Light.optional(), ...SCENE })])
  .openapi('CameraPipeline', { description: `${DESCRIPTION}; with lighter models to run on under overload; and with a scene: which classes and zones count, and rules of what is told when it happens.` });
export type Pipeline = z.output<typeof Pipeline>;

export const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
const TimeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be HH:MM').openapi({ example: '06:00' });
const isTimeZone = (name: string): boolean => {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
};
const Hours = z
  .strictObject({
    timezone: z.string().max(64).refine(isTimeZone, 'must be an IANA time zone, e.g. Asia/Tokyo').prefault('UTC'),
    times: z.array(z.strictObject({ days: z.array(z.enum(DAYS)).min(1).max(7).prefault([...DAYS]), from: TimeOfDay, to: TimeOfDay.describe('At or before `from`: on the next day.') })).min(1).max(50),
  })
  .openapi('RecordingHours', { description: 'Times of the week at which the camera is recorded.' });
export type Hours = z.output<typeof Hours>;

const Seconds = z.number().min(0).max(600);
const OnEvent = z
  .strictObject({
    pre_seconds: Seconds.prefault(10), post_seconds: Seconds.prefault(10),
    detected: z.array(z.strictObject({ class_name: z.string().min(1).max(128), min_confidence: z.number().min(0).max(1).prefault(0.5) })).max(32).prefault([]).describe('Detections that are events by themselves.'),
  })
  .openapi('RecordingOnEvent', { description: 'An event becomes a clip with what came before and after it.' });
export type OnEvent = z.output<typeof OnEvent>;

const ArchiveFrames = z
  .strictObject({
    detected: z.array(z.strictObject({ class_name: z.string().min(1).max(128), min_confidence: z.number().min(0).max(1).prefault(0.5) })).min(1).max(32).describe('A picture with one of these goes to the archive.'),
    every_seconds: z.number().min(0.1).max(86_400).prefault(1).describe('One picture in so long at most.'),
  })
  .openapi('RecordingArchiveFrames', { description: 'Single pictures go to the archive as JPEG with a JSON of what was seen.' });
export type ArchiveFrames = z.output<typeof ArchiveFrames>;

const RECORDING = {
  policy: z.enum(['always', 'on-event', 'off']).describe('`on-event`: a short window only (5 minutes unless `window_minutes` says otherwise); what events mark is kept.'),
  window_minutes: z.number().min(1).max(366 * 24 * 60).optional().describe('Rolling window of this camera, instead of `recorder.window_minutes`.'),
  max_bytes: z.int().min(1 << 20).optional().describe('Most bytes of this camera; the oldest go first.'),
  hours: Hours.optional(),
  on_event: OnEvent.optional(),
  archive_frames: ArchiveFrames.optional().describe('Off unless set.'),
};
export const Recording = z.strictObject(RECORDING).openapi('CameraRecording');
/** As stored: beside what was set, the switch of `recording/start` and `recording/stop`, which counts more until recording is set anew. */
export const StoredRecording = z.strictObject({ ...RECORDING, switched: z.enum(['on', 'off']).optional().describe('By `recording/start` or `recording/stop`; setting `recording` ends it.') }).openapi('CameraRecordingState');
export type StoredRecording = z.output<typeof StoredRecording>;

const Qos = z.enum(['auto', 'high', 'medium', 'low']).describe('The most pictures a second detectors see, and the most lines of video with boxes burned in and of pictures that are watched without a size: `high` 30 and 2160, `medium` 15 and 1080, `low` 8 and 720; `auto`: as `inference.qos` of the configuration says, by default what is asked for. Under overload it is less.');
const Priority = z.int().min(1).max(10).describe('Under overload the cameras of lowest priority are detected at fewer pictures a second first.');
/** What bounds the rate of a camera's detectors. */
const Rates = { qos: Qos.optional(), priority: Priority.optional() };
export const CameraRates = z.strictObject({ qos: Qos.prefault('auto'), priority: Priority.prefault(DEFAULT_PRIORITY) }).openapi('CameraQosSetting', { description: 'What is left out gets its default.' });
export type CameraRates = z.output<typeof CameraRates>;
const BandwidthHint = z
  .int().min(100_000).max(1_000_000_000).nullable()
  .describe('What the way from the camera carries, in bits per second: a WebRTC publisher is told to send no more, within a second of a change too. By RTSP nobody can be told. Null: `webrtc.max_bitrate_bps` alone.');
const Codes = z
  .strictObject({
    fps: z.number().min(0.2).max(10).prefault(2).describe('Pictures a second that are looked at.'),
    formats: z.array(z.enum(CODE_FORMATS)).min(1).refine((formats) => new Set(formats).size === formats.length, 'must name each format once').prefault(['qr']).describe('Each costs time of its own: name those that are printed.'),
    repeat_seconds: z.number().min(1).max(86_400).prefault(10).describe('A code that stays in the picture is told once; again after it was away for so long.'),
  })
  .openapi('CameraCodes', { description: 'QR and bar codes are read in the live pictures, and each is told as `code_seen` on the topic `video-analysis-events`.' });
const CodesSetting = Codes.nullable().describe('Null: none are read.');
/** As stored, perhaps by another version: what is not known here counts as left out. */
export const StoredHints = z.object({ qos: Qos.optional().catch(undefined), priority: Priority.optional().catch(undefined), bandwidth_hint: BandwidthHint.optional().catch(undefined), codes: CodesSetting.optional().catch(undefined) });
export type StoredHints = z.output<typeof StoredHints>;

const Settings = { name: Name, source: Source, pipelines: z.array(Pipeline).max(16), recording: Recording, ...Rates, bandwidth_hint: BandwidthHint.optional(), codes: CodesSetting.optional() };

export const NewCamera = z
  .strictObject({ ...Settings, id: CameraId, name: Name.optional(), source: Source.prefault({ type: 'push' }), pipelines: Settings.pipelines.prefault(['detect']), recording: Recording.prefault({ policy: 'always' }) })
  .openapi('NewCamera');
export type NewCamera = z.output<typeof NewCamera>;

/** PUT: everything, with the defaults of a new camera for what is left out. */
export const ReplaceCamera = NewCamera.partial({ id: true }).openapi('CameraReplacement');
/** PATCH: what is named. */
export const CameraPatch = z.strictObject(Settings).partial().openapi('CameraPatch');
export type CameraPatch = z.output<typeof CameraPatch>;

const Urls = z
  .object({ whip: z.string(), whep: z.string(), hls: z.string(), rtsp: z.string(), websocket: z.string(), page: z.string() })
  .openapi('CameraUrls', { description: 'Through the front door: they work wherever this API does.' });
const DirectUrls = z
  .object({ whip: z.string(), whep: z.string(), hls: z.string(), websocket: z.string() })
  .openapi('CameraDirectUrls', { description: "At the edge's own media port, for players that can reach it: one hop less. Null with `public_url`: a proxy in front need not forward that port." });

export const CameraSession = z
  .object({
    id: z.string(), phase: z.enum(['connecting', 'live', 'interrupted', 'ended']), protocol: z.string(), started_at: Timestamp, ended_at: Timestamp.nullable(),
    reason: z.string().nullable(), epoch: z.number().nullable(),
  })
  .openapi('CameraSession');

export const CameraDistribution = z
  .object({ state: z.enum(['on', 'off']).describe('`off`: shown to nobody live, by `distribution/stop`, until `distribution/start`.') })
  .openapi('CameraDistribution', { description: 'Whether the camera is shown live. It is received, recorded and detected either way.' });

export const Camera = z
  .object({
    id: CameraId, name: z.string(), source: Source, pipelines: z.array(Pipeline), recording: StoredRecording, distribution: CameraDistribution, qos: Qos, priority: Priority, bandwidth_hint: BandwidthHint, codes: CodesSetting, created_at: Timestamp, updated_at: Timestamp,
    urls: Urls, direct_urls: DirectUrls.nullable(),
    phase: z.enum(['idle', 'connecting', 'live', 'interrupted']),
    session: CameraSession.nullable().describe('The newest session, also when it has ended.'),
    stats: z.record(z.string(), z.unknown()).nullish().describe("The edge's figures while there is a session; in lists with `include=stats`."),
  })
  .openapi('Camera');
export const CreatedCamera = Camera.extend({ publish_key: z.string().describe('Shown this once.') }).openapi('CreatedCamera');

export const CameraQosState = z
  .object({
    qos: Qos, priority: Priority,
    now: z
      .object({
        fps: z.number().describe('Pictures a second that its fastest detector sees.'), full_fps: z.number().describe('The same without overload.'), level: z.int().describe('Steps below full, in rate and in models.'),
        models: z.array(z.object({
          detector: z.string(), model: z.string().describe('That it runs on now.'), full_model: z.string().describe('That it runs on without overload.'),
          light: z.array(z.object({ model: z.string(), state: z.enum(['ready', 'not_ready', 'other_classes', 'failing']).describe('`not_ready`: no worker has it ready, so it is passed over. `other_classes`: its class names are not those of the detector\'s own model, so it is never used. `failing`: it saw no picture when it was used, and is tried again in a minute.') })).describe('That it is lowered to, one after the other.'),
        })).default([]).describe('What its detectors run on; empty where an older edge does not tell.'),
        since: Timestamp.nullable().describe('Of the last change; null: none since the camera came.'),
        cause: z.string().nullable().describe('Of that change: `worker_busy`, `queue_wait`, `extractor_busy`, `cpu_busy`, `recovered`, `settings`.'),
      })
      .nullable().describe('Null: nothing of it is detected now.'),
    shown: z
      .object({
        height: z.int().describe('Pixels of the largest pictures, or video with boxes burned in, that somebody watches.'), full_height: z.int().describe('The same while the machine has time for all.'),
        since: Timestamp.nullable().describe('Of the last change; null: none since it is watched.'), cause: z.string().nullable().describe('Of that change: `cpu_busy`, `recovered`, `settings`.'),
      })
      .nullable().describe('Null: nobody watches its pictures, or its video with boxes burned in.'),
  })
  .openapi('CameraQos');

export const CameraKey = z
  .object({ id: z.string(), kind: z.enum(['publish', 'view']), created_at: Timestamp, revoked_at: Timestamp.nullable() })
  .openapi('CameraKey');
export const NewKey = z.strictObject({ kind: z.enum(['publish', 'view']) }).openapi('NewCameraKey');
export const CreatedKey = CameraKey.extend({ key: z.string().describe('Shown this once.') }).openapi('CreatedCameraKey');
