import * as z from 'zod';

export const MediaConfig = z.strictObject({
  part_ms: z.int().min(20).max(2000).prefault(200).describe("Length of one muxer's parts, for LL-HLS and the recorder alike."),
});
export const SessionConfig = z.strictObject({
  grace_seconds: z.number().min(0).prefault(15).describe('How long a lost camera may come back to the same session.'),
});
export const SourcesConfig = z.strictObject({
  file_dir: z.string().prefault('./clips').describe('The only folder a `file` source may read.'),
});
export const CamerasConfig = z.strictObject({
  create_on_publish: z.boolean().prefault(true).describe('A publisher whose token has `camera:manage` creates the camera it names.'),
});
export const LimitsConfig = z.strictObject({
  sessions: z.int().positive().prefault(200).describe('Publishers at a time; more get 503 (WHIP) or 453 (RTSP).'),
  viewers_per_camera: z.int().positive().prefault(500).describe('WebRTC viewers of one camera at a time; more get 503.'),
  websocket_messages_per_minute: z.int().positive().prefault(100).describe('Messages a client may send on one `/v1/ws`; more close it with 4429.'),
});
