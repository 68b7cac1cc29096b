import { MediaError } from '../../core/errors.ts';
import type { ModelInfo } from '../../inference/port.ts';
import type { Config } from '../../config/schema.ts';
import type { Pipeline } from './schemas.ts';

/** Lighter models that ship with the product, by the model whose place they take. */
const BUNDLED: Readonly<Record<string, readonly string[]>> = { 'nanodet-g-416.int8.u8': ['nanodet-g-320.int8.u8'] };

/** What a detector is lowered to where its camera says nothing: the configuration, which speaks of the default detector alone. */
export const lightOfDefault = ({ default_model: model, default_light: light }: Config['inference']): readonly string[] => light ?? BUNDLED[model] ?? [];

/** Whether a camera's detectors say themselves what they are lowered to: only then need the worker be asked for the classes of its models. */
export const namesLight = (pipelines: readonly Pipeline[]): boolean => pipelines.some((pipeline) => typeof pipeline !== 'string' && (pipeline.light?.length ?? 0) > 0);

/**
 * Throws UNPROCESSABLE for a lighter model that is none, that is the detector's own or named twice, or whose class names differ from those of the detector's own:
 * as far as both are ready in `infos`. What is not known here is looked at by the edge, which does not use such a one and says so.
 */
export const checkLight = (pipelines: readonly Pipeline[], modelOf: (id: string) => string, models: readonly string[], infos: readonly ModelInfo[]): void => {
  for (const pipeline of pipelines) {
    if (typeof pipeline === 'string' || pipeline.light === undefined) continue;
    const { id, light } = pipeline;
    const own = modelOf(id);
    const classes = classesOf(infos, own);
    const seen = new Set([own]);
    for (const model of light) {
      const context = { pipeline: id, model };
      if (!models.includes(model)) throw new MediaError('UNPROCESSABLE', `There is no model ${model} that ${id} could be lowered to. Models here: ${models.join(', ')}.`, { reason: 'UNKNOWN_MODEL', context });
      if (seen.has(model)) throw new MediaError('UNPROCESSABLE', model === own ? `${model} is ${id}'s own model: name others in \`light\`, each lighter than the one before.` : `${model} is named twice in \`light\` of ${id}.`, { reason: 'DUPLICATE_MODEL', context });
      seen.add(model);
      const its = classesOf(infos, model);
      if (classes !== null && its !== null && its !== classes) {
        throw new MediaError('UNPROCESSABLE', `${model} has other class names than ${own}, the model of ${id}: what it finds would mean something else. Name a model with the same classes in the same order.`, { reason: 'CLASSES_DIFFER', context });
      }
    }
  }
};

const classesOf = (infos: readonly ModelInfo[], model: string): string | null => {
  const info = infos.find(({ name, state }) => name === model && state === 'ready');
  return info ? JSON.stringify(info.labels) : null;
};
