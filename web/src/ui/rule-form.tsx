import type { Rule, Scene } from '../scene/draft.ts';
import { ClassesField } from './classes-field.tsx';
import { DraftInput } from './draft-input.tsx';

const TYPES = { count: 'Count: so many for so long', dwell: 'Stay: one stays for so long', cross: 'Crossing: one crosses a line' } as const;
const CLIP = { pre_seconds: 10, post_seconds: 10 } as const;

/** One rule's words and numbers. `labels`: the classes the model has. */
export const RuleForm = (props: { rule: Rule; scene: Scene; labels: readonly string[]; onRule: (rule: Rule) => void; onRemove: () => void }) => {
  const { rule, scene, labels, onRule, onRemove } = props;
  const taken = scene.rules.filter((one) => one !== rule).map(({ id }) => id);
  const number = (label: string, value: number, least: number, most: number, step: number | 'any', set: (value: number) => Rule) => (
    <label>{label}<DraftInput name={label} value={String(value)} onDone={(input) => { if (input.value !== '' && input.reportValidity()) onRule(set(Number(input.value))); }} more={{ type: 'number', min: least, max: most, step, inputMode: 'decimal', required: true }} takesBack /></label>
  );
  return (
    <li class="card rule" aria-label={rule.id}>
      <div class="rule-head"><strong>{TYPES[rule.type]}</strong><button type="button" class="quiet" aria-label={`Remove rule ${rule.id}`} onClick={onRemove}>Remove</button></div>
      <div class="fields">
        <label>Name<DraftInput name="name" value={rule.id} more={{ maxLength: 64 }} onDone={(input) => {
          const id = input.value.trim();
          if (id !== '' && !taken.includes(id)) onRule({ ...rule, id });
        }} takesBack /></label>
        {rule.type === 'cross'
          ? <label>Line<select value={rule.line} onChange={(event) => { onRule({ ...rule, line: event.currentTarget.value }); }}>{scene.lines.map(({ id }) => <option key={id} value={id}>{id}</option>)}</select></label>
          : <label>Where<select value={rule.zone ?? ''} onChange={(event) => { onRule({ ...rule, zone: event.currentTarget.value === '' ? undefined : event.currentTarget.value }); }}><option value="">Whole picture</option>{scene.zones.map(({ id }) => <option key={id} value={id}>{id}</option>)}</select></label>}
        {rule.type === 'cross' && (
          <label>Direction<select value={rule.direction} onChange={(event) => { onRule({ ...rule, direction: event.currentTarget.value as typeof rule.direction }); }}>
            <option value="both">Both</option><option value="to_right">To the right side</option><option value="to_left">To the left side</option>
          </select></label>
        )}
        {rule.type === 'count' && number('At least', rule.at_least, 1, 1000, 1, (at_least) => ({ ...rule, at_least }))}
        {rule.type !== 'cross' && number('For seconds', rule.for_seconds, 0, 3600, 'any', (for_seconds) => ({ ...rule, for_seconds }))}
        {rule.type !== 'cross' && number('Over after seconds', rule.clear_seconds, 0, 3600, 'any', (clear_seconds) => ({ ...rule, clear_seconds }))}
        <ClassesField label="Classes" name="classes" classes={rule.classes} labels={labels} onClasses={(classes) => { onRule({ ...rule, classes }); }} />
        {number('Confidence from', rule.min_confidence, 0, 1, 0.05, (min_confidence) => ({ ...rule, min_confidence }))}
      </div>
      <label class="check"><input type="checkbox" checked={rule.clip !== undefined} onChange={(event) => { onRule({ ...rule, clip: event.currentTarget.checked ? CLIP : undefined }); }} /><span>Keep a clip of it, from {rule.clip?.pre_seconds ?? CLIP.pre_seconds} s before to {rule.clip?.post_seconds ?? CLIP.post_seconds} s after</span></label>
    </li>
  );
};
