import * as z from 'zod';

export const InferenceConfig = z.strictObject({
  models_dir: z.string().optional().describe('An `.onnx` file put here becomes a model within 10 s. Default: `{data_dir}/models`.'),
  default_model: z.string().prefault('nanodet-g-416.int8.u8').describe('The model behind the detector `detect`.'),
  default_fps: z.number().positive().max(60).prefault(15).describe('Pictures per second the detector `detect` asks for.'),
  threads: z.int().min(0).prefault(0).describe('Threads of one model; 0 = as many as there are cores, at most 4.'),
  deadline_ms: z.int().positive().prefault(1000).describe('A picture not answered by then is given up and counted.'),
  credits: z.int().positive().max(16).prefault(2).describe('Pictures a worker takes at a time from one extractor.'),
  max_model_bytes: z.int().positive().prefault(512 * 1024 ** 2).describe('A larger model file is refused.'),
});

export const WorkerConfig = z.strictObject({
  listen: z.string().optional().describe('Address of the worker: a Unix socket by default; `host:port` for other hosts.'),
});

export const ExtractorConfig = z.strictObject({
  processes: z.int().positive().max(64).prefault(1).describe('Extractor processes the cameras are spread over.'),
  idle_seconds: z.number().positive().prefault(3).describe('A decoder without a consumer ends after this.'),
});
