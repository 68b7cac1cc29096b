import { useEffect, useState } from 'preact/hooks';
import { ApiError, inWords } from '../api-error.ts';
import { api } from '../api.ts';
import type { Camera } from '../api.ts';
import { modelsApi } from '../models/api.ts';
import { addLine, addRule, addZone, pipelineId, removeLine, removeRule, removeZone, renameLine, renameZone, sceneOf, setRule, turnLine, withScene } from '../scene/draft.ts';
import type { Rule, Scene } from '../scene/draft.ts';
import { may } from '../session.ts';
import { CameraTitle } from '../ui/camera-title.tsx';
import { ClassesField } from '../ui/classes-field.tsx';
import { DraftInput } from '../ui/draft-input.tsx';
import { Missing } from '../ui/missing.tsx';
import { RuleForm } from '../ui/rule-form.tsx';
import { SceneEditor } from '../ui/scene-editor.tsx';

const PICTURE_WIDTH = 1280;
const RULES: readonly (readonly [Rule['type'], string])[] = [['count', 'Count'], ['dwell', 'Stay'], ['cross', 'Crossing']];
/** Of a camera that has never been seen here. */
const UNKNOWN_SIZE = { width: 1280, height: 720 } as const;

/** What the camera sees, taken once; null while nobody publishes it. */
const useStill = (camera: string): { readonly url: string | null; readonly size: { readonly width: number; readonly height: number }; readonly again: () => void } => {
  const [still, setStill] = useState<{ readonly url: string | null; readonly size: { readonly width: number; readonly height: number } }>({ url: null, size: UNKNOWN_SIZE });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const wish = new AbortController();
    let url: string | null = null;
    void (async () => {
      try {
        const blob = await api.snapshot(camera, PICTURE_WIDTH, wish.signal);
        const { width, height } = await createImageBitmap(blob);
        if (wish.signal.aborted) return;
        url = URL.createObjectURL(blob);
        setStill({ url, size: { width, height } });
      } catch {
        // Nobody publishes it: its zones can be drawn all the same.
      }
    })();
    return () => {
      wish.abort();
      if (url !== null) URL.revokeObjectURL(url);
    };
  }, [camera, round]);
  return { ...still, again: () => { setRound((before) => before + 1); } };
};

/** The classes that a detector's model has; none while that is not known. */
const useLabels = (): ((detector: string) => readonly string[]) => {
  const [known, setKnown] = useState<Awaited<ReturnType<typeof modelsApi.list>> | null>(null);
  useEffect(() => {
    modelsApi.list().then(setKnown).catch(() => undefined); // then no name is pointed out
  }, []);
  return (detector) => known?.items.find(({ name }) => name === (detector === 'detect' ? known.default_model : detector))?.labels ?? [];
};

/** Zones, lines and rules of a camera's detectors. */
export const ScenePage = (props: { id: string }) => {
  const [camera, setCamera] = useState<Camera | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [missing, setMissing] = useState(false);
  const [detector, setDetector] = useState<string | null>(null);
  const [draft, setDraft] = useState<Scene | null>(null);
  const [saved, setSaved] = useState(false);
  const [busy, setBusy] = useState(false);
  const still = useStill(props.id);
  const labelsOf = useLabels();

  useEffect(() => {
    api.camera(props.id).then((found) => {
      setCamera(found);
      const [first] = found.pipelines;
      if (first !== undefined) setDetector(pipelineId(first));
    }).catch((error: unknown) => {
      setMissing(error instanceof ApiError && error.status === 404);
      setFailure(inWords(error));
    });
  }, [props.id]);

  if (missing) return <Missing what={failure ?? ''} />;
  if (!camera) return <p class="empty" role="status">{failure ?? 'Loading…'}</p>;
  const pipeline = camera.pipelines.find((one) => pipelineId(one) === detector);
  const title = <CameraTitle camera={camera} tab="scene" />;
  if (pipeline === undefined) return <section class="scene-page">{title}<p class="empty">No detector runs on this camera: there is nothing that zones could tell.</p></section>;
  const scene = draft ?? sceneOf(pipeline);
  const labels = labelsOf(pipelineId(pipeline));
  const allowed = may('camera:manage');
  const change = (next: Scene): void => { setDraft(next); setSaved(false); };
  const save = async (): Promise<void> => {
    setBusy(true);
    setFailure(null);
    try {
      // Others may have changed the camera meanwhile: what they did stays, unless it was this very scene.
      const now = await api.camera(camera.id);
      const there = now.pipelines.find((one) => pipelineId(one) === pipelineId(pipeline));
      if (there === undefined || JSON.stringify(sceneOf(there)) !== JSON.stringify(sceneOf(pipeline))) {
        setFailure('Somebody else has changed this detector meanwhile. Discard your changes to see how it is now.');
        setCamera(now);
        return;
      }
      setCamera(await api.setPipelines(camera.id, withScene(now.pipelines, pipelineId(pipeline), scene)));
      setDraft(null);
      setSaved(true);
    } catch (error) {
      setFailure(inWords(error));
    } finally {
      setBusy(false);
    }
  };
  const named = (kind: 'Zone' | 'Line', id: string, rename: (name: string) => void, buttons: preact.ComponentChildren) => (
    <li key={`${kind} ${id}`}><label><span class="sr">Name of {id}</span><DraftInput name={`${kind} ${id}`} value={id} more={{ maxLength: 64 }} onDone={(input) => { rename(input.value.trim()); }} takesBack /></label>{buttons}</li>
  );

  return (
    <section class="scene-page">
      {title}
      <div class="scene-layout">
        <div>
          <div class="scene-stage"><SceneEditor picture={still.url} size={still.size} scene={scene} onScene={change} /></div>
          <p class="muted small">Drag a corner, or choose it with Tab and move it with the arrow keys; a small dot (or Insert) becomes a corner, Delete takes one away.</p>
          <div class="controls">
            <button type="button" onClick={() => { change(addZone(scene)); }}>Add zone</button>
            <button type="button" onClick={() => { change(addLine(scene)); }}>Add line</button>
            <button type="button" class="quiet" onClick={still.again}>New picture</button>
          </div>
        </div>
        <div class="scene-side">
          {camera.pipelines.length > 1 && (
            <label>Detector<select value={detector ?? ''} disabled={draft !== null} onChange={(event) => { setDetector(event.currentTarget.value); setSaved(false); }}>{camera.pipelines.map((one) => <option key={pipelineId(one)} value={pipelineId(one)}>{pipelineId(one)}</option>)}</select></label>
          )}
          <section class="card">
            <h2>Zones and lines</h2>
            {scene.zones.length + scene.lines.length === 0 && <p class="muted">None yet: everything in the picture counts.</p>}
            <ul class="named">
              {scene.zones.map(({ id }) => named('Zone', id, (name) => { change(renameZone(scene, id, name)); }, <button type="button" class="quiet" aria-label={`Remove ${id}`} onClick={() => { change(removeZone(scene, id)); }}>Remove</button>))}
              {scene.lines.map(({ id }) => named('Line', id, (name) => { change(renameLine(scene, id, name)); }, (
                <><button type="button" class="quiet" aria-label={`Turn ${id}`} onClick={() => { change(turnLine(scene, id)); }}>Turn</button><button type="button" class="quiet" aria-label={`Remove ${id}`} onClick={() => { change(removeLine(scene, id)); }}>Remove</button></>
              )))}
            </ul>
            <label class="check"><input type="checkbox" disabled={scene.zones.length === 0} checked={scene.zones_only && scene.zones.length > 0} onChange={(event) => { change({ ...scene, zones_only: event.currentTarget.checked }); }} /><span>Leave out what is in no zone</span></label>
            <label>An object is where<select value={scene.anchor} onChange={(event) => { change({ ...scene, anchor: event.currentTarget.value as Scene['anchor'] }); }}><option value="foot">it stands (lower edge of its box)</option><option value="centre">the centre of its box is</option></select></label>
            <ClassesField label="Only these classes" name="scene classes" classes={scene.classes} labels={labels} onClasses={(classes) => { change({ ...scene, classes }); }} />
          </section>
          <section aria-label="Rules">
            <h2>Rules</h2>
            <ul class="rules">{scene.rules.map((rule, i) => <RuleForm key={i} rule={rule} scene={scene} labels={labels} onRule={(next) => { change(setRule(scene, i, next)); }} onRemove={() => { change(removeRule(scene, i)); }} />)}</ul>
            <div class="controls">
              {RULES.map(([type, label]) => <button key={type} type="button" disabled={type === 'cross' && scene.lines.length === 0} title={type === 'cross' && scene.lines.length === 0 ? 'Add a line first' : undefined} onClick={() => { change(addRule(scene, type)); }}>+ {label}</button>)}
            </div>
          </section>
          <div class="controls" role="status">
            {allowed ? <button type="button" class="primary" disabled={draft === null || busy} onClick={() => void save()}>Save</button> : <span class="muted">Your role may look at this, not change it.</span>}
            {draft !== null && <button type="button" class="quiet" onClick={() => { setDraft(null); setFailure(null); }}>Discard changes</button>}
            {saved && <span class="muted">Saved: it counts from now on.</span>}
            {failure && <span class="failure">{failure}</span>}
          </div>
        </div>
      </div>
    </section>
  );
};
