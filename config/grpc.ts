import * as z from 'zod';

export const GrpcConfig = z.strictObject({
  port: z.int().min(0).max(65535).prefault(50051).describe('Public gRPC. 0 = any free port.'),
  bind: z.string().optional().describe('Address of this listener alone; default: `bind`.'),
  max_connections: z.int().positive().prefault(512).describe('More connections than this are refused.'),
  calls_per_minute: z.int().positive().prefault(500).describe('Calls of one user (without a valid token: of one address) in a minute; more get RESOURCE_EXHAUSTED.'),
  max_video_streams: z.int().positive().max(256).prefault(16).describe('Calls of `CameraStreamProcessor.ProcessVideoStream` at a time; more get RESOURCE_EXHAUSTED.'),
});
