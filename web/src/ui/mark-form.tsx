import { useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { MARK_TEXTS } from '../recordings/api.ts';
import type { Mark, MarkChange } from '../recordings/api.ts';

const tagsOf = (text: string): readonly string[] => [...new Set(text.split(',').map((tag) => tag.trim()).filter((tag) => tag !== ''))];

/** What the form says. Of a new mark what is empty is left out, of one that is there it is taken away. */
const changeOf = (form: FormData, isNew: boolean): MarkChange => {
  const change: MarkChange = {};
  for (const name of MARK_TEXTS) {
    const value = ((form.get(name) as string | null) ?? '').trim();
    if (value !== '') change[name] = value;
    else if (!isNew) change[name] = null;
  }
  const sequence = ((form.get('monthly_sequence') as string | null) ?? '').trim();
  if (sequence !== '') change.monthly_sequence = Number(sequence);
  else if (!isNew) change.monthly_sequence = null;
  const tags = tagsOf((form.get('tags') as string | null) ?? '');
  if (tags.length > 0 || !isNew) change.tags = tags;
  return change;
};

/** The words of a mark. `save` throws what goes wrong. */
export const MarkForm = (props: { mark: Mark | null; heading: string; products: boolean; save: (change: MarkChange) => Promise<void>; onDone: () => void }) => {
  const { mark } = props;
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    setFailure(null);
    try {
      await props.save(changeOf(form, mark === null));
      props.onDone();
    } catch (error) {
      setFailure(inWords(error));
      setBusy(false);
    }
  };
  const text = (name: (typeof MARK_TEXTS)[number], label: string, more: Readonly<Record<string, unknown>> = {}) => (
    <label>{label}<input name={name} maxLength={128} defaultValue={mark?.[name] ?? ''} autocomplete="off" {...more} /></label>
  );
  return (
    <form class="card mark-form" onSubmit={(event) => void submit(event)} onKeyDown={(event) => { if (event.key === 'Escape') { event.stopPropagation(); props.onDone(); } }}>
      <h2>{props.heading}</h2>
      <div class="fields">
        {text('title', 'Title', { maxLength: 200, autofocus: true })}
        {text('work_order_id', 'Work order')}
        {text('inspection_result', 'Inspection result', { maxLength: 32, list: 'results', placeholder: 'OK, NG' })}
        <label>Tags<input name="tags" defaultValue={mark?.tags.join(', ') ?? ''} placeholder="scratch, belt 2" autocomplete="off" /></label>
      </div>
      <details open={props.products}>
        <summary>Product and inspection</summary>
        <div class="fields">
          {text('product_type', 'Product type')}
          {text('product_id', 'Product id')}
          {text('inspection_id', 'Inspection id')}
          {text('instruction_id', 'Instruction')}
          {text('machine_number', 'Machine')}
          {text('production_date', 'Production date', { type: 'date' })}
          <label>Monthly sequence<input name="monthly_sequence" type="number" min="0" step="1" defaultValue={mark?.monthly_sequence ?? ''} /></label>
        </div>
      </details>
      <label>Note<textarea name="note" rows={2} maxLength={4000} defaultValue={mark?.note ?? ''} /></label>
      <datalist id="results"><option value="OK" /><option value="NG" /></datalist>
      {failure && <p class="failure" role="alert">{failure}</p>}
      <div class="controls"><button type="submit" class="primary" disabled={busy}>Save</button><button type="button" class="quiet" onClick={props.onDone}>Cancel</button></div>
    </form>
  );
};
