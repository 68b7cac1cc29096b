import { classesOf } from '../scene/draft.ts';
import { DraftInput } from './draft-input.tsx';

/** More names than these are counted. */
const SHOWN = 12;

/** Names of classes, with commas between them. `labels`: those the model has, empty while nobody knows; a name it has not is pointed out, for nothing would ever match it. */
export const ClassesField = (props: { label: string; name: string; classes: readonly string[]; labels: readonly string[]; onClasses: (classes: readonly string[]) => void }) => {
  const { label, name, classes, labels, onClasses } = props;
  const unknown = labels.length === 0 ? [] : classes.filter((one) => !labels.includes(one));
  const finds = labels.slice(0, SHOWN).join(', ') + (labels.length > SHOWN ? ` and ${String(labels.length - SHOWN)} more` : '');
  return (
    <label class="classes">{label}
      <DraftInput name={name} value={classes.join(', ')} more={{ placeholder: 'all' }} onDone={({ value }) => { onClasses(classesOf(value)); }} />
      {unknown.length > 0 && <span class="failure" role="alert">The model finds no {unknown.map((one) => `“${one}”`).join(', ')}. It finds: {finds}.</span>}
    </label>
  );
};
