import { useEffect, useRef, useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { modelsApi } from '../models/api.ts';
import type { ModelList } from '../models/api.ts';

const size = (bytes: number): string => (bytes < 1 << 20 ? `${String(Math.ceil(bytes / 1024))} KB` : `${(bytes / (1 << 20)).toFixed(bytes < 10 << 20 ? 1 : 0)} MB`);

/** A name for a model out of its file's. */
const nameOf = (file: File): string => file.name.replace(/\.onnx$/i, '').replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^[^A-Za-z0-9]+/, '').slice(0, 128);

/** What became of the last upload: the model is ready when the list has this digest. */
interface Taken {
  readonly name: string;
  readonly digest: string;
}

/** Brings an .onnx file to the server, as a new model or in the place of one. */
export const AddModel = (props: { list: ModelList; onTaken: () => void }) => {
  const { list } = props;
  const [file, setFile] = useState<File | null>(null);
  const [name, setName] = useState('');
  const [sent, setSent] = useState<number | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [taken, setTaken] = useState<Taken | null>(null);
  const sending = useRef<AbortController | null>(null);
  useEffect(() => () => sending.current?.abort(), []);
  const replaced = list.items.find((model) => model.name === name);
  const tooLarge = file && file.size > list.max_bytes ? `The file has ${size(file.size)}; ${size(list.max_bytes)} are taken (inference.max_model_bytes).` : null;

  const choose = (event: { readonly currentTarget: HTMLInputElement }): void => {
    const chosen = event.currentTarget.files?.[0];
    event.currentTarget.value = '';
    if (!chosen) return;
    setFile(chosen);
    setName(nameOf(chosen));
    setFailure(null);
    setTaken(null);
  };
  const upload = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (!file) return;
    const mine = (sending.current = new AbortController());
    setSent(0);
    setFailure(null);
    try {
      const { digest } = await modelsApi.upload(name, file, replaced, setSent, mine.signal);
      setTaken({ name, digest });
      setFile(null);
      props.onTaken();
    } catch (error) {
      if (!mine.signal.aborted) setFailure(inWords(error));
    } finally {
      setSent(null);
    }
  };
  const ready = taken && list.items.some((model) => model.name === taken.name && model.digest === taken.digest);

  return (
    <section class="card add-model" aria-label="Add a model">
      <div class="add-head">
        <div><h2>Add a model</h2><p class="muted">An ONNX file, up to {size(list.max_bytes)}. It is tried before it takes any place; what runs goes on meanwhile.</p></div>
        {sent === null && <label class="button file"><input type="file" accept=".onnx" onChange={choose} />{file ? 'Another file' : 'Choose a file'}</label>}
      </div>
      {file && (
        <form onSubmit={(event) => void upload(event)}>
          <label>Name<input name="name" value={name} required pattern="[A-Za-z0-9][A-Za-z0-9._\-]{0,127}" maxLength={128} autocomplete="off" disabled={sent !== null} onInput={(event) => setName(event.currentTarget.value)} /></label>
          <p class="muted file-name">{file.name}, {size(file.size)}{replaced && <strong> · takes the place of {replaced.name}{replaced.digest !== null && <> (SHA-256 <code>{replaced.digest.slice(0, 12)}…</code>)</>}</strong>}</p>
          {tooLarge && <p class="failure" role="alert">{tooLarge}</p>}
          <div class="controls">
            {sent === null
              ? <><button type="submit" class="primary" disabled={tooLarge !== null}>{replaced ? `Replace ${replaced.name}` : 'Upload'}</button><button type="button" class="quiet" onClick={() => { setFile(null); setFailure(null); }}>Cancel</button></>
              : <><progress aria-label="Sent" max={1} {...(sent < 1 ? { value: sent } : {})} /><span role="status">{sent < 1 ? `${String(Math.round(sent * 100))} % sent` : 'The server tries it…'}</span><button type="button" class="quiet" onClick={() => sending.current?.abort()}>Give up</button></>}
          </div>
        </form>
      )}
      {failure && <p class="failure" role="alert">{failure}</p>}
      {taken && <p role="status">{ready ? `${taken.name} is ready.` : `${taken.name} is on the server, and ready within 10 s.`}</p>}
    </section>
  );
};
