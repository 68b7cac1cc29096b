import type { Camera } from '../api.ts';
import { linkTo } from '../router.ts';
import { pipelineId } from '../scene/draft.ts';

/** Why a detector is not lowered to a model that it names. */
const WHY_UNUSED: Readonly<Record<string, string>> = { not_ready: 'no worker has it ready', other_classes: 'not used, as it knows other classes than the detector\'s own', failing: 'not used for a minute, as it saw no picture' };

/** What a preset bounds burned-in video to, and pictures for which no size is named. */
const MOST_LINES: Readonly<Record<string, number>> = { high: 2160, medium: 1080, low: 720 };

const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;

/** What runs on a camera: each detector with its model, the pictures a second it really sees, and where a picture's time goes; and what decodes its pictures. */
export const Detectors = (props: { camera: Camera }) => {
  const { camera } = props;
  if (camera.pipelines.length === 0) return null;
  const preset = camera.stats?.detection?.qos?.preset ?? 'auto';
  const decoder = camera.stats?.detection?.decoder ?? null;
  const running = camera.stats?.detection?.detectors ?? [];
  const models = camera.stats?.detection?.qos?.models ?? [];
  return (
    <section class="card detectors" aria-label="Detectors">
      <h2>Detectors</h2>
      <ul>
        {camera.pipelines.map((pipeline) => {
          const id = pipelineId(pipeline);
          const figures = running.find((one) => one.id === id);
          return (
            <li key={id}>
              <div><strong>{id}</strong>{figures && figures.model !== id && <span class="muted"> {figures.model}</span>}</div>
              {figures ? (
                <dl>
                  <div><dt>Sees</dt><dd>{figures.fps.toFixed(figures.fps < 9.95 ? 1 : 0)} fps</dd></div>
                  <div title="From decoding to the result"><dt>In all</dt><dd>{ms(figures.total_ms)}</dd></div>
                  <div title="Waiting to be sent to an AI worker"><dt>Queue</dt><dd>{ms(figures.queue_ms)}</dd></div>
                  <div title="At the worker before its turn"><dt>Wait</dt><dd>{ms(figures.wait_ms)}</dd></div>
                  <div title="In the model alone"><dt>Model</dt><dd>{ms(figures.model_ms)}</dd></div>
                </dl>
              ) : <span class="muted">No result yet</span>}
              {models.find(({ detector }) => detector === id)?.light.map(({ model, state }) => WHY_UNUSED[state] && <p key={model} class="muted small">Lighter model {model}: {WHY_UNUSED[state]}.</p>)}
            </li>
          );
        })}
      </ul>
      {decoder !== null && <p class="muted small">Pictures are decoded {decoder === 'software' ? 'in software' : <>on <strong>{decoder}</strong></>}.</p>}
      {preset !== 'auto' && <p class="muted small">The preset {preset} bounds them to {camera.stats?.detection?.qos?.full_fps} pictures a second{preset in MOST_LINES && `, and what other programs are shown to ${String(MOST_LINES[preset])} lines`}.</p>}
      <a class="link small" {...linkTo('/models')}>Models on this server</a>
    </section>
  );
};
