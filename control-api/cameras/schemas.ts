/** The JSON of cameras and their keys (contract 0.3), strict in what it takes. */
import { z } from '@hono/zod-openapi';
import { CameraId, Timestamp } from '../schemas.ts';

const Name = z.string().trim().min(1).max(128);

export const Source = z
  .strictObject({ type: z.enum(['push', 'rtsp', 'whep', 'file']), url: z.string().min(1).max(2048).optional() })
  .openapi('CameraSource', { description: '`push`: the camera publishes. `file`: an MP4 below `sources.file_dir` in a loop. `rtsp` and `whep` come later: 422.' });
export type Source = z.output<typeof Source>;

const DetectorId = z.string().min(1).max(128);
export const Pipeline = z
  .union([DetectorId, z.strictObject({ id: DetectorId, fps: z.number().positive().max(60).optional(), confidence: z.number().min(0).max(1).optional() })])
  .openapi('CameraPipeline', { description: "`detect` (the default detector) or a model's name; as an object with its own rate and threshold." });
export type Pipeline = z.output<typeof Pipeline>;

export const Recording = z.strictObject({ policy: z.enum(['always', 'on-event', 'off']) }).openapi('CameraRecording', { description: '`on-event` comes later: 422.' });
export type Recording = z.output<typeof Recording>;

/** Of the contract, but nothing acts on them yet: whoever sets one is told so by 422, instead of believing it. */
const Hints = {
  qos: z.union([z.string().max(32), z.record(z.string().max(64), z.union([z.string().max(256), z.number(), z.boolean()]))]).optional().describe('Comes later: 422.'),
  priority: z.int().min(0).max(1000).optional().describe('Comes later: 422.'),
  bandwidth_hint: z.number().min(0).optional().describe('Bits per second. Comes later: 422.'),
};
export const HINTS = ['qos', 'priority', 'bandwidth_hint'] as const satisfies readonly (keyof typeof Hints)[];

const Settings = { name: Name, source: Source, pipelines: z.array(Pipeline).max(16), recording: Recording, ...Hints };

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

export const Camera = z
  .object({
    id: CameraId, name: z.string(), source: Source, pipelines: z.array(Pipeline), recording: Recording, ...Hints, created_at: Timestamp, updated_at: Timestamp,
    urls: Urls, direct_urls: DirectUrls.nullable(),
    phase: z.enum(['idle', 'connecting', 'live', 'interrupted']),
    session: CameraSession.nullable().describe('The newest session, also when it has ended.'),
    stats: z.record(z.string(), z.unknown()).nullish().describe("The edge's figures while there is a session; in lists with `include=stats`."),
  })
  .openapi('Camera');
export const CreatedCamera = Camera.extend({ publish_key: z.string().describe('Shown this once.') }).openapi('CreatedCamera');

export const CameraKey = z
  .object({ id: z.string(), kind: z.enum(['publish', 'view']), created_at: Timestamp, revoked_at: Timestamp.nullable() })
  .openapi('CameraKey');
export const NewKey = z.strictObject({ kind: z.enum(['publish', 'view']) }).openapi('NewCameraKey');
export const CreatedKey = CameraKey.extend({ key: z.string().describe('Shown this once.') }).openapi('CreatedCameraKey');
