import { useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { api } from '../api.ts';
import type { Camera } from '../api.ts';
import { isRecordingOn, recordingInWords } from '../recordings/policy-words.ts';
import { may } from '../session.ts';

/** How a camera is recorded, with a switch for those who may. */
export const RecordingState = (props: { camera: Camera; onSwitched: () => Promise<void> }) => {
  const { id, recording } = props.camera;
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const on = isRecordingOn(recording);
  const toggle = async (): Promise<void> => {
    setBusy(true);
    setFailure(null);
    try {
      await api.switchRecording(id, on ? 'stop' : 'start');
      await props.onSwitched();
    } catch (error) {
      setFailure(inWords(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <section class="card recording-state" aria-label="Recording">
      <div>
        <h2><span class={on ? 'dot recording' : 'dot idle'} aria-hidden="true" />{on ? 'Recording is on' : 'Recording is off'}</h2>
        <p class="muted">{recordingInWords(recording)}</p>
        {failure && <p class="failure" role="alert">{failure}</p>}
      </div>
      {may('recording:manage') && <button type="button" disabled={busy} onClick={() => void toggle()}>{on ? 'Stop recording' : 'Start recording'}</button>}
    </section>
  );
};
