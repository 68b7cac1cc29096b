import { useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { api } from '../api.ts';
import type { Alarm } from '../api.ts';
import { linkTo } from '../router.ts';
import { may } from '../session.ts';
import { HeldDeletion } from './held-deletion.tsx';
import { usePolling } from './use-polling.ts';

const REFRESH_MS = 4000;

/** What an alarm is about, in two or three words; its message says the rest. */
const HEADINGS: Readonly<Record<string, string>> = {
  keyframes_overdue: 'No key frames',
  hardware_unavailable: 'Video device not usable',
  recording_failed: 'Not recorded',
  recording_disk_full: 'Not recorded: disk full',
  recording_disk_low: 'Disk nearly full',
  recording_retention_held: 'Deletion held back',
  recording_damaged: 'Damaged recording',
  recording_missing: 'Recordings are gone',
  recording_unproven: 'Recordings signed anew',
  file_source: 'File source stopped',
  journal_full: 'Results lost',
  event_refused: 'Event refused',
};

/** Not to be dismissed: it ends when the deletion is confirmed or no longer due. */
const HELD = 'recording_retention_held';

const MINUTE = 60_000;
const ago = (at: string): string => {
  const minutes = Math.floor((Date.now() - Date.parse(at)) / MINUTE);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${minutes} min ago`;
  return minutes < 1440 ? `${Math.floor(minutes / 60)} h ago` : new Date(at).toLocaleDateString();
};

/**
 * The raised alarms, newest first: of one camera in full, of all cameras as a banner that opens. Nothing at all while there is none.
 * `nameOf` gives a camera's name for its id.
 */
export const Alarms = (props: { camera?: string; nameOf?: (camera: string) => string }) => {
  const { camera, nameOf = String } = props;
  const [alarms, setAlarms] = useState<readonly Alarm[]>([]);
  const [open, setOpen] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  // An answer that fails changes nothing here: the page itself says when the server does not answer.
  const load = (): Promise<void> => api.alarms(camera).then((raised) => { setAlarms(raised); }).catch(() => undefined);
  usePolling(load, REFRESH_MS, [camera]);

  const dismiss = async (id: string): Promise<void> => {
    setFailure(null);
    try {
      await api.clearAlarm(id);
    } catch (error) {
      setFailure(inWords(error));
    }
    await load();
  };

  const [newest] = alarms;
  if (!newest) return null;
  const listed = camera !== undefined || open;
  return (
    <section class="alarms" aria-label="Alarms">
      {camera === undefined && (
        <button type="button" class="alarms-head" aria-expanded={open} onClick={() => setOpen(!open)}>
          <strong>{alarms.length === 1 ? '1 alarm' : `${alarms.length} alarms`}</strong>
          {!open && <span class="newest">{headingOf(newest)}{newest.camera !== null && ` · ${nameOf(newest.camera)}`}</span>}
          <span class="chevron" aria-hidden="true" />
        </button>
      )}
      {listed && (
        <ul>
          {alarms.map((alarm) => (
            <li key={alarm.id} data-code={alarm.code}>
              <div>
                <strong>{headingOf(alarm)}</strong>
                {camera === undefined && alarm.camera !== null && <> · <a class="link" {...linkTo(`/cameras/${alarm.camera}`)}>{nameOf(alarm.camera)}</a></>}
                <time class="muted" dateTime={alarm.at} title={new Date(alarm.at).toLocaleString()}>{ago(alarm.at)}</time>
                <p>{alarm.message}</p>
              </div>
              {alarm.code === HELD
                ? may('recording:manage') && <HeldDeletion onDone={load} />
                : may('camera:manage') && <button type="button" onClick={() => void dismiss(alarm.id)} aria-label={`Dismiss: ${headingOf(alarm)}`}>Dismiss</button>}
            </li>
          ))}
        </ul>
      )}
      {failure && <p class="failure" role="alert">{failure}</p>}
    </section>
  );
};

const headingOf = (alarm: Alarm): string => HEADINGS[alarm.code] ?? 'Alarm';
