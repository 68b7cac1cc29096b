import { hash } from 'node:crypto';
import type { ModelInfo } from '../../inference/port.ts';
import { MAX_MODELS, MAX_MODEL_NAME } from '../protocol.ts';
import type { ModelsMessage } from '../protocol.ts';

/** What the edge is told of the workers' models: those that are ready, by name. One whose name no detector can have is left out. */
export const readyModels = (models: ReadonlyMap<string, ModelInfo>): ModelsMessage['models'] =>
  [...models.values()].filter(({ name, state }) => state === 'ready' && name.length <= MAX_MODEL_NAME).slice(0, MAX_MODELS)
    .map(({ name, labels }) => ({ name, classes: hash('sha256', JSON.stringify(labels), 'hex') })).toSorted((a, b) => (a.name < b.name ? -1 : 1));
