import { useEffect, useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { exportsApi } from '../recordings/exports.ts';
import { recordingsApi } from '../recordings/api.ts';
import type { Mark } from '../recordings/api.ts';
import { pathTo } from '../recordings/link.ts';
import { amount, between } from '../recordings/moments.ts';
import { may } from '../session.ts';
import { Copy } from './copy.tsx';
import { MarkForm } from './mark-form.tsx';
import type { Selection } from './timeline.tsx';

/** What can be done with the range that is marked on the time line. */
export const RangeActions = (props: { camera: string; selection: Selection; onPlay: () => void; onClear: () => void; onMarked: (mark: Mark) => void; onExport: () => void }) => {
  const { camera, selection: { from, to } } = props;
  const [open, setOpen] = useState<'link' | 'clip' | 'share' | null>(null);
  const [said, setSaid] = useState<{ readonly failed: boolean; readonly text: string } | null>(null);
  useEffect(() => setSaid(null), [from, to]);

  const pin = async (): Promise<void> => {
    try {
      props.onMarked(await recordingsApi.addMark(camera, 'pin', from, to, {}));
      setSaid({ failed: false, text: 'Pinned: it stays on the disk until the pin is removed.' });
    } catch (error) {
      setSaid({ failed: true, text: inWords(error) });
    }
  };
  const exportBoxes = async (): Promise<void> => {
    try {
      await exportsApi.add(camera, from, to);
      props.onExport();
      setSaid({ failed: false, text: 'The file with boxes is being made; it is in the list below.' });
    } catch (error) {
      setSaid({ failed: true, text: inWords(error) });
    }
  };
  const toggle = (which: typeof open): void => setOpen(open === which ? null : which);
  return (
    <section class="range" aria-label="Marked range">
      <div class="range-head">
        <p><strong>{between(from, to)}</strong> <span class="muted">{amount((to - from) / 1000)}</span></p>
        <div class="range-buttons">
          <button type="button" class="primary" onClick={props.onPlay}>Play</button>
          {may('recording:manage') && (
            <>
              <button type="button" onClick={() => void pin()}>Pin</button>
              <button type="button" aria-expanded={open === 'link'} onClick={() => toggle('link')}>Link…</button>
              <button type="button" aria-expanded={open === 'clip'} onClick={() => toggle('clip')}>Clip…</button>
            </>
          )}
          <a class="button" href={recordingsApi.playbackUrl(camera, from, to)} download={`${camera}-${new Date(from).toISOString().replaceAll(':', '-')}.mp4`}>Export MP4</a>
          {may('detection:view') && <button type="button" class="wide" onClick={() => void exportBoxes()} title="One MP4 in which what was detected is drawn on its very picture; without sound, at most an hour">Export with boxes</button>}
          <a class="button" href={recordingsApi.evidenceUrl(camera, from, to)} download title="The video, the recorded files, detections and signatures, to be checked by anybody">Evidence ZIP</a>
          <button type="button" aria-expanded={open === 'share'} onClick={() => toggle('share')}>Share</button>
          <button type="button" class="quiet" onClick={props.onClear} title="Esc">Clear</button>
        </div>
      </div>
      {said && <p class={said.failed ? 'failure' : 'muted'} role={said.failed ? 'alert' : 'status'}>{said.text}</p>}
      {open === 'share' && (
        <div class="share"><p class="muted">Opens exactly this range; whoever follows it logs in.</p><Copy text={`${location.origin}${pathTo(camera, { from, to })}`} /></div>
      )}
      {(open === 'link' || open === 'clip') && (
        <MarkForm key={open} mark={null} heading={open === 'link' ? 'Link this range to a product, an inspection or a work order' : 'Keep this range as a clip'} products={open === 'link'}
          save={async (change) => { props.onMarked(await recordingsApi.addMark(camera, open, from, to, change)); setSaid({ failed: false, text: open === 'link' ? 'Linked.' : 'Kept as a clip.' }); }} onDone={() => setOpen(null)} />
      )}
    </section>
  );
};
