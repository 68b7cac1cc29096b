import { useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { recordingsApi } from '../recordings/api.ts';
import type { Mark } from '../recordings/api.ts';
import { amount, between } from '../recordings/moments.ts';
import { may } from '../session.ts';
import { KindBadge, Result, Tags, productWords } from './mark-badges.tsx';
import { MarkForm } from './mark-form.tsx';

/** The marks of a window, each to be shown, changed and removed. */
export const MarkList = (props: { marks: readonly Mark[]; shown: string | null; onShow: (mark: Mark) => void; onChanged: () => void }) => {
  if (props.marks.length === 0) return null;
  return (
    <section class="marks" aria-label="Marks">
      <h2>Marks <small class="muted">{props.marks.length} in this window</small></h2>
      <ul>{props.marks.map((mark) => <Item key={mark.id} mark={mark} shown={mark.id === props.shown} onShow={() => props.onShow(mark)} onChanged={props.onChanged} />)}</ul>
    </section>
  );
};

const Item = (props: { mark: Mark; shown: boolean; onShow: () => void; onChanged: () => void }) => {
  const { mark } = props;
  const [mode, setMode] = useState<'edit' | 'remove' | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const products = productWords(mark);
  const when = between(Date.parse(mark.from), Date.parse(mark.to));
  const heading = mark.title ?? (products === '' ? when : products);
  const remove = async (): Promise<void> => {
    try {
      await recordingsApi.removeMark(mark.id);
      props.onChanged();
    } catch (error) {
      setFailure(inWords(error));
    }
  };
  return (
    <li class={props.shown ? 'shown' : ''} data-mark={mark.id}>
      <div class="mark-words">
        <p><KindBadge kind={mark.kind} /> <strong>{heading}</strong> <Result result={mark.inspection_result} /> <Tags tags={mark.tags} /></p>
        {mark.title !== null && products !== '' && <p class="muted">{products}</p>}
        {mark.note !== null && <p class="muted note-text">{mark.note}</p>}
        <p class="muted small">{heading !== when && `${when} · `}{amount(mark.duration)}{mark.created_by !== null && ` · by ${mark.created_by}`}</p>
      </div>
      <div class="mark-buttons">
        <button type="button" onClick={props.onShow}>Show</button>
        {may('recording:manage') && mode !== 'remove' && (
          <>
            <button type="button" class="quiet" aria-expanded={mode === 'edit'} onClick={() => setMode(mode === 'edit' ? null : 'edit')}>Edit</button>
            <button type="button" class="quiet" onClick={() => setMode('remove')}>Remove</button>
          </>
        )}
        {mode === 'remove' && (
          <>
            <button type="button" class="danger" onClick={() => void remove()} autofocus>Remove it</button>
            <button type="button" class="quiet" onClick={() => setMode(null)}>Keep</button>
          </>
        )}
      </div>
      {mode === 'remove' && <p class="muted small wide">What it kept on the disk goes when its time is over; what is in the archive stays there.</p>}
      {failure && <p class="failure wide" role="alert">{failure}</p>}
      {mode === 'edit' && (
        <div class="wide"><MarkForm mark={mark} heading="Change this mark" products={products !== ''} save={async (change) => { await recordingsApi.changeMark(mark.id, change); props.onChanged(); }} onDone={() => setMode(null)} /></div>
      )}
    </li>
  );
};
