import { useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { exportsApi, isOpen, stateWords } from '../recordings/exports.ts';
import type { BoxExport } from '../recordings/exports.ts';
import { between } from '../recordings/moments.ts';
import { usePolling } from './use-polling.ts';

const BUSY_MS = 1000;
const IDLE_MS = 10_000;

/** A camera's exports with boxes drawn in: how far they are, and their files. `asked` changes when there is a new one. */
export const ExportList = (props: { camera: string; asked: number }) => {
  const { camera } = props;
  const [exports, setExports] = useState<readonly BoxExport[]>([]);
  const [failure, setFailure] = useState<string | null>(null);
  const load = async (): Promise<void> => {
    try {
      setExports(await exportsApi.list(camera));
      setFailure(null);
    } catch (error) {
      setFailure(inWords(error));
    }
  };
  const remove = async (id: string): Promise<void> => {
    try {
      await exportsApi.remove(id);
      await load();
    } catch (error) {
      setFailure(inWords(error));
    }
  };
  usePolling(load, exports.some(isOpen) ? BUSY_MS : IDLE_MS, [camera, props.asked, exports.some(isOpen)]);
  if (exports.length === 0 && failure === null) return null;
  return (
    <section class="marks exports" aria-label="Exports with boxes">
      <h2>Exports with boxes <small class="muted">kept for a day</small></h2>
      {failure !== null && <p class="failure" role="alert">{failure}</p>}
      <ul>
        {exports.map((job) => (
          <li key={job.id} data-export={job.id} data-state={job.state}>
            <div class="mark-words">
              <p><strong>{between(Date.parse(job.from), Date.parse(job.to))}</strong></p>
              <p class={job.state === 'failed' ? 'failure' : 'muted small'}>{stateWords(job)}</p>
              {isOpen(job) && <progress max={1} value={job.progress} aria-label="Progress" />}
            </div>
            <div class="mark-buttons">
              {job.state === 'done' && <a class="button primary" href={exportsApi.fileUrl(job.id)} download={`${camera}-${job.from.replaceAll(':', '-')}-boxes.mp4`}>Download</a>}
              <button type="button" class="quiet" onClick={() => void remove(job.id)}>{isOpen(job) ? 'Cancel' : 'Delete'}</button>
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
};
