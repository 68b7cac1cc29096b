import { useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { api } from '../api.ts';
import { modelsApi } from '../models/api.ts';
import type { Model, ModelList } from '../models/api.ts';
import { pipelineId } from '../scene/draft.ts';
import { may } from '../session.ts';
import { AddModel } from '../ui/add-model.tsx';
import { DeleteModel } from '../ui/delete-model.tsx';
import { TryModel } from '../ui/try-model.tsx';
import { usePolling } from '../ui/use-polling.ts';

const REFRESH_MS = 3_000;
/** More classes than these are counted. */
const SHOWN = 12;
const STATES = { ready: 'ready', loading: 'loading', failed: 'cannot be used' } as const;

/** As people know ONNX Runtime's providers. */
const PROVIDERS: Readonly<Record<string, string>> = { cpu: 'the CPU', cuda: 'CUDA', tensorrt: 'TensorRT', openvino: 'OpenVINO', coreml: 'Core ML', dml: 'DirectML', webgpu: 'WebGPU' };
const runsOn = ({ backend, provider }: Model): string =>
  backend === 'kserve' ? 'an inference server' : provider === null ? 'ONNX Runtime' : `ONNX Runtime on ${PROVIDERS[provider.name] ?? provider.name}`;

/** Cameras that a model is used by: as a detector's own, and as one that detectors may be lowered to. */
interface Users { readonly own: readonly string[]; readonly lighter: readonly string[] }
const NOBODY: Users = { own: [], lighter: [] };

const ModelCard = (props: { model: Model; users: Users; onDeleted: () => void }) => {
  const { model, users: { own, lighter } } = props;
  const [all, setAll] = useState(false);
  const [trying, setTrying] = useState(false);
  const mayTry = model.state === 'ready' && may('pipeline:execute');
  const mayDelete = model.added && may('model:manage');
  const labels = all ? model.labels : model.labels.slice(0, SHOWN);
  return (
    <li class={trying ? 'card model trying' : 'card model'} data-state={model.state}>
      <div class="rule-head"><h2>{model.name}</h2><span class={`badge ${model.state === 'ready' ? 'live' : model.state === 'loading' ? 'connecting' : 'failed'}`}>{STATES[model.state]}</span></div>
      {model.failure !== null && <p class="failure">{model.state === 'ready' ? `Its successor cannot be used: ${model.failure}` : model.failure}</p>}
      <dl class="facts">
        {model.input && <div><dt>Input</dt><dd>{model.input.width} × {model.input.height}</dd></div>}
        {model.default_confidence !== null && <div><dt>Confidence from</dt><dd>{model.default_confidence}</dd></div>}
        <div><dt>Runs on</dt><dd title={model.provider?.reason}>{runsOn(model)}</dd></div>
        {model.batch !== null && model.batch.pictures > 1 && <div><dt>In one run</dt><dd title={model.batch.reason}>up to {model.batch.pictures} pictures</dd></div>}
        {model.digest !== null && <div><dt>SHA-256</dt><dd><code title={model.digest}>{model.digest.slice(0, 12)}…</code></dd></div>}
        {!model.added && <div><dt>Comes with</dt><dd>the product</dd></div>}
        <div><dt>Cameras</dt><dd>{own.length === 0 ? 'none' : own.join(', ')}</dd></div>
        {lighter.length > 0 && <div><dt>Under overload</dt><dd>{lighter.join(', ')}</dd></div>}
      </dl>
      {model.labels.length > 0 && (
        <p class="labels"><span class="muted">{model.labels.length} {model.labels.length === 1 ? 'class' : 'classes'}:</span> {labels.join(', ')}{model.labels.length > SHOWN && <button type="button" class="quiet" aria-expanded={all} onClick={() => { setAll(!all); }}>{all ? 'fewer' : `and ${String(model.labels.length - SHOWN)} more`}</button>}</p>
      )}
      {(mayTry || mayDelete) && (
        <div class="model-buttons">
          {mayTry && <button type="button" aria-expanded={trying} onClick={() => { setTrying(!trying); }}>{trying ? 'Close' : 'Try it'}</button>}
          {mayDelete && <DeleteModel model={model} onDone={props.onDeleted} />}
        </div>
      )}
      {trying && mayTry && <TryModel model={model} />}
    </li>
  );
};

/** The models of the server, with what they find and who uses them, and why a file cannot be used. */
export const Models = () => {
  const [list, setList] = useState<ModelList | null>(null);
  const [users, setUsers] = useState<ReadonlyMap<string, Users>>(new Map());
  const [failure, setFailure] = useState<string | null>(null);
  const look = async (): Promise<void> => {
    try {
      const [found, cameras] = await Promise.all([modelsApi.list(), api.cameras()]);
      setList(found);
      const byModel = new Map<string, Users>();
      const use = (model: string, as: keyof Users, camera: string): void => {
        const users = byModel.get(model) ?? NOBODY;
        if (!users[as].includes(camera)) byModel.set(model, { ...users, [as]: [...users[as], camera] });
      };
      for (const { name, pipelines } of cameras) {
        for (const pipeline of pipelines) {
          const { id, light = pipelineId(pipeline) === 'detect' ? found.default_light : [] } = typeof pipeline === 'string' ? { id: pipeline } : pipeline;
          use(id === 'detect' ? found.default_model : id, 'own', name);
          for (const model of light) use(model, 'lighter', name);
        }
      }
      setUsers(byModel);
      setFailure(null);
    } catch (error) {
      setFailure(inWords(error));
    }
  };
  usePolling(look, REFRESH_MS, []);
  const models = list?.items;
  return (
    <section class="models-page">
      <div class="title"><div class="name"><h1>Models</h1>{models && <span class="muted">{models.filter(({ state }) => state === 'ready').length} ready</span>}</div></div>
      {failure && <p class="failure" role="alert">{failure}</p>}
      {!models && !failure && <p class="empty" role="status">Loading…</p>}
      {list && (may('model:manage')
        ? <AddModel list={list} onTaken={() => void look()} />
        : <p class="muted">An <code>.onnx</code> file copied into the folder <code>models</code> of the server’s data becomes a model within 10 s.</p>)}
      <ul class="model-list">{models?.map((model) => <ModelCard key={model.name} model={model} users={users.get(model.name) ?? NOBODY} onDeleted={() => void look()} />)}</ul>
    </section>
  );
};
