import type { Config } from '../../config/schema.ts';
import { MediaError } from '../../core/errors.ts';
import type { DetectorSpec } from '../../media-control/port.ts';
import { lightOfDefault } from './light-models.ts';
import { checkScene, toScene } from './scene.ts';
import type { Pipeline } from './schemas.ts';

const idOf = (pipeline: Pipeline): string => (typeof pipeline === 'string' ? pipeline : pipeline.id);

/** The id every server has: the default detector. */
const DEFAULT_DETECTOR = 'detect';

/** The model of a detector that is not lowered. */
export const modelOf = (id: string, inference: Config['inference']): string => (id === DEFAULT_DETECTOR ? inference.default_model : id);

/** Throws UNPROCESSABLE for an id that is neither `detect` nor a model, or that is named twice, and for a scene that contradicts itself. */
export const checkPipelines = (pipelines: readonly Pipeline[], models: readonly string[]): void => {
  const seen = new Set<string>();
  for (const pipeline of pipelines) {
    const id = idOf(pipeline);
    if (id !== DEFAULT_DETECTOR && !models.includes(id)) {
      throw new MediaError('UNPROCESSABLE', `There is no pipeline or model ${id}. Models here: ${models.join(', ')}.`, { reason: 'UNKNOWN_PIPELINE', context: { pipeline: id } });
    }
    if (seen.has(id)) throw new MediaError('UNPROCESSABLE', `The pipeline ${id} is named twice.`, { reason: 'DUPLICATE_PIPELINE', context: { pipeline: id } });
    seen.add(id);
    if (typeof pipeline !== 'string') checkScene(id, pipeline);
  }
};

/** What the edge runs for a camera's `pipelines[]`. */
export const toDetectors = (pipelines: readonly Pipeline[], inference: Config['inference']): readonly DetectorSpec[] =>
  pipelines.map((pipeline) => {
    const own: Exclude<Pipeline, string> = typeof pipeline === 'string' ? { id: pipeline } : pipeline;
    const id = own.id;
    const scene = toScene(own);
    const light = own.light ?? (id === DEFAULT_DETECTOR ? lightOfDefault(inference) : []);
    return { id, model: modelOf(id, inference), fps: own.fps ?? inference.default_fps, confidence: own.confidence ?? null, ...(light.length > 0 && { light }), ...(own.tracking === false && { tracking: false }), ...(scene && { scene }) };
  });
