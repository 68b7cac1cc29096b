import { useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { modelsApi } from '../models/api.ts';
import type { Model } from '../models/api.ts';

/** Deletes a model's file, after a second look. */
export const DeleteModel = (props: { model: Model; onDone: () => void }) => {
  const [sure, setSure] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const remove = async (): Promise<void> => {
    setSure(false);
    setFailure(null);
    try {
      await modelsApi.remove(props.model);
      props.onDone();
    } catch (error) {
      setFailure(inWords(error));
    }
  };
  return (
    <>
      {failure && <p class="failure" role="alert">{failure}</p>}
      {!sure
        ? <button type="button" class="quiet" onClick={() => { setSure(true); setFailure(null); }}>Delete</button>
        : <div class="confirm" role="group" aria-label={`Delete ${props.model.name}`}><button type="button" class="danger" onClick={() => void remove()}>Delete for good</button><button type="button" class="quiet" autofocus onClick={() => setSure(false)}>Keep it</button></div>}
    </>
  );
};
