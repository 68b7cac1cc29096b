import { useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { api } from '../api.ts';
import type { Camera, CodesSetting } from '../api.ts';
import { codeNames } from '../live/code-words.ts';
import { may } from '../session.ts';

/** Whether codes are read in a camera's pictures, with a switch for those who may; nothing for others while none are. */
export const CodesState = (props: { camera: Camera; onSwitched: () => Promise<void> }) => {
  const { id, codes } = props.camera;
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  // What was set before it was switched off here comes back with the switch.
  const [before, setBefore] = useState<CodesSetting | null>(null);
  const toggle = async (): Promise<void> => {
    setBusy(true);
    setFailure(null);
    try {
      if (codes) setBefore(codes);
      await api.setCodes(id, codes ? null : before ?? {});
      await props.onSwitched();
    } catch (error) {
      setFailure(inWords(error));
    } finally {
      setBusy(false);
    }
  };
  if (!codes && !may('camera:manage')) return null;
  return (
    <section class="card recording-state codes-state" aria-label="Codes">
      <div>
        <h2><span class={codes ? 'dot shown' : 'dot idle'} aria-hidden="true" />{codes ? 'Codes are read' : 'Codes are not read'}</h2>
        <p class="muted">{codes ? `${codeNames(codes.formats)}, in ${String(codes.fps)} pictures a second. Each code that comes into the picture is an event.` : 'QR codes that this camera sees can become events.'}</p>
        {failure && <p class="failure" role="alert">{failure}</p>}
      </div>
      {may('camera:manage') && <button type="button" disabled={busy} onClick={() => void toggle()}>{codes ? 'Stop reading codes' : before ? 'Read codes again' : 'Read QR codes'}</button>}
    </section>
  );
};
