import { useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { recordingsApi } from '../recordings/api.ts';

/** Lets a deletion that was held back happen, after a second look. `onDone`: it was confirmed, or nothing waits any more. */
export const HeldDeletion = (props: { onDone: () => Promise<void> }) => {
  const [held, setHeld] = useState<{ readonly since: string; readonly message: string } | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const attempt = (work: () => Promise<void>): void => {
    setFailure(null);
    work().catch((error: unknown) => { setHeld(null); setFailure(inWords(error)); });
  };
  const look = (): void => attempt(async () => {
    const waiting = await recordingsApi.heldDeletion();
    setHeld(waiting);
    if (!waiting) await props.onDone();
  });
  const confirm = (since: string): void => attempt(async () => {
    await recordingsApi.confirmDeletion(since);
    setHeld(null);
    await props.onDone();
  });
  if (!held) return <>{failure && <p class="failure" role="alert">{failure}</p>}<button type="button" onClick={look}>Delete them</button></>;
  return (
    <div class="confirm" role="group" aria-label="Confirm the deletion">
      <p><strong>More than half of all recordings will be gone for good.</strong></p>
      <button type="button" class="danger" onClick={() => confirm(held.since)}>Delete for good</button>
      <button type="button" class="quiet" autofocus onClick={() => setHeld(null)}>Keep them</button>
    </div>
  );
};
