import { useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { api } from '../api.ts';
import type { Camera } from '../api.ts';
import { may } from '../session.ts';

/** Whether a camera is shown live, with a switch for those who may; nothing for others while it is as usual. */
export const DistributionState = (props: { camera: Camera; onSwitched: () => Promise<void> }) => {
  const { id, distribution } = props.camera;
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const on = distribution.state === 'on';
  const toggle = async (): Promise<void> => {
    setBusy(true);
    setFailure(null);
    try {
      await api.switchDistribution(id, on ? 'stop' : 'start');
      await props.onSwitched();
    } catch (error) {
      setFailure(inWords(error));
    } finally {
      setBusy(false);
    }
  };
  if (on && !may('camera:manage')) return null;
  return (
    <section class="card recording-state distribution-state" aria-label="Live view">
      <div>
        <h2><span class={on ? 'dot shown' : 'dot idle'} aria-hidden="true" />{on ? 'Live view is on' : 'Live view is off'}</h2>
        <p class="muted">{on ? 'Whoever may watch this camera sees it live.' : 'Nobody is shown this camera live. It is received, detected and recorded as before, and its recordings can be played.'}</p>
        {failure && <p class="failure" role="alert">{failure}</p>}
      </div>
      {may('camera:manage') && <button type="button" disabled={busy} onClick={() => void toggle()}>{on ? 'Stop live view' : 'Start live view'}</button>}
    </section>
  );
};
