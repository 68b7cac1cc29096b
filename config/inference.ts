import * as z from 'zod';
import { isHostPort } from '../core/host-port.ts';

const hostPort = z.string().refine(isHostPort, '`host:port` expected, and not an address that means all of a machine\'s');
const reachable = z.string().refine((address) => isHostPort(address) || /^unix:\/./.test(address), '`host:port` or `unix:/path` expected, and not an address that means all of a machine\'s');

/** ONNX Runtime's execution providers by its names. */
export const EXECUTION_PROVIDERS = ['cpu', 'tensorrt', 'cuda', 'openvino', 'coreml', 'dml', 'webgpu'] as const;
export type ExecutionProvider = (typeof EXECUTION_PROVIDERS)[number];

export const InferenceConfig = z.strictObject({
  models_dir: z.string().optional().describe('An `.onnx` file put here becomes a model within 10 s, and so does a `.kserve.json` file that names an inference server. Default: `{data_dir}/models`.'),
  default_model: z.string().prefault('nanodet-g-416.int8.u8').describe('The model behind the detector `detect`.'),
  default_light: z.array(z.string().min(1).max(128)).max(4).optional().describe('Lighter models with the same classes that `detect` runs on under overload, the heaviest first; `[]`: none. Default: `nanodet-g-320.int8.u8` where `default_model` is `nanodet-g-416.int8.u8`, else none.'),
  default_fps: z.number().positive().max(60).prefault(15).describe('Pictures per second the detector `detect` asks for.'),
  qos: z.enum(['auto', 'high', 'medium', 'low']).prefault('auto').describe('The most pictures a second that detectors of cameras with `qos: auto` see, and the most lines of their video with boxes burned in and of pictures watched without a size: `high` 30 and 2160, `medium` 15 and 1080, `low` 8 and 720; `auto`: what is asked for.'),
  threads: z.int().min(0).prefault(0).describe('Threads of one model; 0 = as many as there are cores, at most 4.'),
  deadline_ms: z.int().positive().prefault(1000).describe('A picture not answered by then is given up and counted; also what an inference server has for one.'),
  credits: z.int().positive().max(16).prefault(2).describe('Pictures a worker takes at a time from one extractor.'),
  workers: z.array(reachable).max(62).prefault([]).describe('AI workers beside this machine\'s own that all edges call: `host:port` (with `control.internal_token`) or `unix:/path`. Workers can also make themselves known: `worker.announce_to`.'),
  defect_classes: z.array(z.string().min(1).max(128)).max(100).prefault([]).describe('Class names that analyses of recordings count as defects, unless a request names its own; none: they say nothing of quality.'),
  max_model_bytes: z.int().positive().prefault(512 * 1024 ** 2).describe('A larger model file is refused.'),
});

export const WorkerConfig = z.strictObject({
  listen: z.string().optional().describe('Address of the worker: a Unix socket by default; `host:port` for other hosts.'),
  announce_to: reachable.optional().describe('`control.internal_listen` of a server on another host that is to use this worker; none: nobody is told.'),
  address: hostPort.optional().describe('With `announce_to`: where edges reach this worker. Default: `worker.listen`.'),
  batch_max: z.int().min(1).max(32).prefault(8).describe('Pictures of one model, of any cameras, that run together at most, where the model takes several and it was measured to pay; 1: one by one.'),
  batch_delay_ms: z.number().min(0).max(1000).prefault(0).describe('A picture may wait so long for others to run with; 0: only with those that wait anyway.'),
  execution_providers: z.union([z.literal('auto'), z.array(z.enum(EXECUTION_PROVIDERS)).min(1).max(EXECUTION_PROVIDERS.length)]).prefault('auto').describe('What ONNX Runtime runs models on: `auto`, of what it offers on this machine that which gives what the CPU gives and is clearly quicker, each tried in a process of its own; or the first of a list that gives what the CPU gives, as `[cuda, cpu]`; `[cpu]`: nothing else is tried. What cannot be used leaves the CPU.'),
  kserve_calls: z.int().min(1).max(1024).prefault(16).describe('Calls of KServe clients the worker takes at a time; more are refused.'),
  kserve_bytes: z.int().positive().prefault(128 * 1024 ** 2).describe('Bytes of requests that these hold together at most; one alone may be larger.'),
});

export const ExtractorConfig = z.strictObject({
  processes: z.int().positive().max(64).prefault(1).describe('Extractor processes the cameras are spread over.'),
  hardware: z.enum(['auto', 'off', 'vaapi', 'cuda', 'qsv', 'videotoolbox']).prefault('auto').describe('Devices video is decoded on, and annotated video encoded: `auto`, those of this machine that decode a built-in picture as software does; or one kind by FFmpeg\'s name (`cuda` is NVDEC and NVENC); `off`, none. What no device does is done in software.'),
  idle_seconds: z.number().positive().prefault(3).describe('A decoder without a consumer ends after this.'),
  annotated_streams: z.int().min(0).max(64).prefault(8).describe('Cameras whose video is encoded with boxes burned in at a time, for whoever watches it so; further ones are 503.'),
});
