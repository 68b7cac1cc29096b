import * as z from 'zod';
import { isHostPort } from '../core/host-port.ts';
import { ArchiveConfig } from './archive.ts';
import { AdminConfig, ControlConfig, DetectionsConfig, EventsConfig, JournalConfig, LogConfig } from './control.ts';
import { DatabaseConfig } from './database.ts';
import { GrpcConfig } from './grpc.ts';
import { CorsConfig, EdgeConfig, HttpConfig } from './http.ts';
import { ExtractorConfig, InferenceConfig, WorkerConfig } from './inference.ts';
import { CamerasConfig, LimitsConfig, MediaConfig, SessionConfig, SourcesConfig } from './media.ts';
import { HlsConfig, RecorderConfig } from './recorder.ts';
import { RtspConfig } from './rtsp.ts';
import { WebRtcConfig } from './webrtc.ts';

/** The whole configuration: one YAML file and `IMAGEFLOW_*` variables (contract 0.2). Unknown keys are errors. */
export const Config = z.strictObject({
  data_dir: z.string().prefault('./data').describe('Everything the server writes.'),
  bind: z.string().prefault('0.0.0.0').describe('Address of all listeners; each may have its own.'),
  public_url: z.url().optional().describe('The address outsiders use, for URLs in answers.'),
  http: HttpConfig.prefault({}),
  edge: EdgeConfig.prefault({}),
  cors: CorsConfig.prefault({}),
  webrtc: WebRtcConfig.prefault({}),
  rtsp: RtspConfig.prefault({}),
  grpc: GrpcConfig.prefault({}),
  media: MediaConfig.prefault({}),
  session: SessionConfig.prefault({}),
  sources: SourcesConfig.prefault({}),
  cameras: CamerasConfig.prefault({}),
  limits: LimitsConfig.prefault({}),
  recorder: RecorderConfig.prefault({}),
  archive: ArchiveConfig.prefault({}),
  hls: HlsConfig.prefault({}),
  inference: InferenceConfig.prefault({}),
  worker: WorkerConfig.prefault({}),
  extractor: ExtractorConfig.prefault({}),
  database: DatabaseConfig.prefault({}),
  control: ControlConfig.prefault({}),
  admin: AdminConfig.prefault({}),
  journal: JournalConfig.prefault({}),
  detections: DetectionsConfig.prefault({}),
  events: EventsConfig.prefault({}),
  log: LogConfig.prefault({}),
}).superRefine(({ control, worker }, context) => {
  if (worker.announce_to !== undefined && worker.address === undefined && !isHostPort(worker.listen ?? '')) {
    context.addIssue({ code: 'custom', path: ['worker', 'address'], message: `edges on other hosts cannot reach a worker at ${worker.listen ?? 'its own Unix socket'}; name the host:port at which they can` });
  }
  if (control.internal_token !== undefined) return;
  for (const [key, address] of [['control.internal_listen', control.internal_listen], ['worker.listen', worker.listen]] as const) {
    if (address === undefined || address.startsWith('unix:')) continue;
    context.addIssue({ code: 'custom', path: ['control', 'internal_token'], message: `${key} is ${address}, where whoever reaches this machine could attach; set a token, the same for every process, or listen on a Unix socket` });
  }
});
export type Config = z.output<typeof Config>;
