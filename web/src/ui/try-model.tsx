import { useEffect, useRef, useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { drawPictureBoxes } from '../live/draw.ts';
import { modelsApi } from '../models/api.ts';
import type { Model, Trial } from '../models/api.ts';
import { takenPicture } from '../models/picture.ts';

/** What is asked of the model; the slider shows less of it. */
const LEAST = 0.05;
const STEP = 0.01;

/** A picture that was sent, and what came of it. */
interface Shown {
  readonly url: string;
  readonly trial: Trial | null;
}

const percent = (share: number): string => `${String(Math.round(share * 100))} %`;
const milliseconds = (ms: number): string => `${ms < 10 ? ms.toFixed(1) : String(Math.round(ms))} ms`;

/** Shows a picture of one's own to a model: its boxes, how sure it is, and what took how long. */
export const TryModel = (props: { model: Model }) => {
  const { model } = props;
  const [shown, setShown] = useState<Shown | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [over, setOver] = useState(false);
  const [least, setLeast] = useState(Math.max(LEAST, model.default_confidence ?? LEAST));
  const asking = useRef<AbortController | null>(null);
  useEffect(() => () => asking.current?.abort(), []);
  useEffect(() => () => { if (shown) URL.revokeObjectURL(shown.url); }, [shown?.url]);

  const look = async (file: File | undefined): Promise<void> => {
    if (!file) return;
    asking.current?.abort();
    const mine = (asking.current = new AbortController());
    setBusy(true);
    setFailure(null);
    try {
      const picture = await takenPicture(file);
      mine.signal.throwIfAborted();
      const url = URL.createObjectURL(picture);
      setShown({ url, trial: null });
      setShown({ url, trial: await modelsApi.attempt(model.name, picture, LEAST, mine.signal) });
    } catch (error) {
      if (!mine.signal.aborted) setFailure(inWords(error));
    } finally {
      if (asking.current === mine) setBusy(false);
    }
  };
  const chosen = (event: { readonly currentTarget: HTMLInputElement }): void => {
    void look(event.currentTarget.files?.[0]);
    event.currentTarget.value = ''; // the same file may be chosen again
  };
  const trial = shown?.trial ?? null;
  const drawn = trial?.detections.filter(({ confidence }) => confidence >= least) ?? [];

  return (
    <section class="try-model" aria-label={`Try ${model.name}`} data-busy={busy}>
      <div class={over ? 'try-choice over' : 'try-choice'} onDragOver={(event) => { event.preventDefault(); setOver(true); }} onDragLeave={() => setOver(false)}
        onDrop={(event) => { event.preventDefault(); setOver(false); void look(event.dataTransfer?.files[0]); }}>
        <label class="button file"><input type="file" accept="image/*" onChange={chosen} />{shown ? 'Another picture' : 'Choose a picture'}</label>
        <label class="button file camera-only"><input type="file" accept="image/*" capture="environment" onChange={chosen} />Take a photo</label>
        <span class="muted drop-hint">or drop one here</span>
        {busy && <span class="looking" role="status"><span class="spinner" aria-hidden="true" />Looking…</span>}
      </div>
      {failure && <p class="failure" role="alert">{failure}</p>}
      {shown && (
        <div class="try-result">
          <TriedPicture url={shown.url} trial={trial} drawn={drawn} />
          {trial && (
            <div class="try-words">
              <label>
                <span class="threshold"><span>Confidence from</span><output>{percent(least)}</output></span>
                <input type="range" aria-label="Confidence from" min={LEAST} max={1} step={STEP} value={least} onInput={(event) => setLeast(event.currentTarget.valueAsNumber)} />
              </label>
              <p class="muted" role="status">{trial.detections.length === 0 ? `Nothing found, from ${percent(LEAST)} on.` : `${String(drawn.length)} of ${String(trial.detections.length)} found from ${percent(LEAST)} on`}</p>
              {drawn.length > 0 && <ol class="found-list">{drawn.map(({ class_name: name, confidence }, i) => <li key={i}><span>{name}</span><span>{percent(confidence)}</span></li>)}</ol>}
              <dl class="facts">
                <div><dt>Picture</dt><dd>{trial.width} × {trial.height}</dd></div>
                <div><dt>Decoding</dt><dd>{milliseconds(trial.times_ms.decode)}</dd></div>
                <div><dt>Scaling</dt><dd>{milliseconds(trial.times_ms.resize)}</dd></div>
                <div><dt>Waiting</dt><dd>{milliseconds(trial.times_ms.waiting + trial.times_ms.queue)}</dd></div>
                <div><dt>Model</dt><dd>{milliseconds(trial.times_ms.model)}</dd></div>
                <div><dt>In all</dt><dd>{milliseconds(trial.times_ms.total)}</dd></div>
              </dl>
            </div>
          )}
        </div>
      )}
    </section>
  );
};

const TriedPicture = (props: { url: string; trial: Trial | null; drawn: Trial['detections'] }) => {
  const { url, trial, drawn } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const over = canvas.current;
    if (!over) return;
    const draw = (): void => {
      drawPictureBoxes(over, trial ?? { width: 0, height: 0 }, trial ? [{ width: trial.width, height: trial.height, detections: drawn.map((detection) => ({ ...detection, track_id: null })) }] : [], { how: 'exact' });
    };
    draw();
    const resized = new ResizeObserver(draw);
    resized.observe(over);
    return () => resized.disconnect();
  }, [trial, drawn]);
  const described = trial ? `The picture with ${String(drawn.length)} boxes` : 'The picture';
  return <div class="tried"><img src={url} alt={described} /><canvas ref={canvas} aria-hidden="true" data-boxes={trial ? drawn.length : undefined} /></div>;
};
