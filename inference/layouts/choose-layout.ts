import { MediaError } from '../../core/errors.ts';
import { classification } from './classification.ts';
import { endToEnd } from './end-to-end.ts';
import { describeOutput } from './layout.ts';
import type { LayoutHints, LayoutKind, OutputLayout, OutputShape } from './layout.ts';
import { topK } from './top-k.ts';
import { yolo } from './yolo.ts';

/** In the order they are tried: [1, boxes, 6] before [1, 4 + classes, anchors], which it would be with six anchors. */
const KINDS: readonly LayoutKind[] = [endToEnd, yolo, topK, classification];

/** Ultralytics' tasks that have a layout here. Outputs of others (segment, pose, obb) can look like detectors of many classes. */
const TASKS: ReadonlySet<string> = new Set(['detect', 'classify']);

const MAX_DESCRIBED = 8;

/** Which layout a model's outputs have. Throws UNPROCESSABLE with what was found and what is known. */
export const chooseLayout = (outputs: readonly OutputShape[], hints: LayoutHints): OutputLayout => {
  const { task, layout } = hints;
  if (task !== null && !TASKS.has(task)) throw new MediaError('UNPROCESSABLE', `the model's task is "${task.slice(0, 50)}"; known are ${[...TASKS].join(' and ')}`);
  const kinds = KINDS.filter(({ id }) => layout === null || id === layout);
  for (const kind of kinds) {
    const found = kind.of(outputs, hints);
    if (found) return found;
  }
  const given = outputs.slice(0, MAX_DESCRIBED).map((output) => `${output.name.slice(0, 100)} ${describeOutput(output)}`).join(', ');
  const more = outputs.length > MAX_DESCRIBED ? ` and ${outputs.length - MAX_DESCRIBED} more` : '';
  throw new MediaError('UNPROCESSABLE', `the output ${given}${more} has no known layout; known are ${kinds.map(({ id, shape }) => `${id} ${shape}`).join('; ')}`);
};
