import type { Mark, MarkKind } from '../recordings/api.ts';

export const KIND_WORDS: Readonly<Record<MarkKind, string>> = { pin: 'Pin', link: 'Link', clip: 'Clip' };
const GOOD = new Set(['ok', 'pass', 'passed', 'good']);

/** OK in green, all else in red: what the eye looks for. */
export const Result = (props: { result: string | null }) =>
  (props.result === null ? null : <span class={`badge ${GOOD.has(props.result.toLowerCase()) ? 'good' : 'bad'}`}>{props.result}</span>);

/** The product fields of a mark that has some, in a few words. */
export const productWords = (mark: Mark): string =>
  [
    mark.work_order_id !== null && `Order ${mark.work_order_id}`, mark.product_type, mark.product_id !== null && `Product ${mark.product_id}`,
    mark.inspection_id !== null && `Inspection ${mark.inspection_id}`, mark.instruction_id !== null && `Instruction ${mark.instruction_id}`,
    mark.machine_number !== null && `Machine ${mark.machine_number}`, mark.production_date, mark.monthly_sequence !== null && `No. ${mark.monthly_sequence}`,
  ].filter((each) => typeof each === 'string').join(' · ');

/** The badge that says what kind of mark it is. */
export const KindBadge = (props: { kind: MarkKind }) => <span class={`badge kind k-${props.kind}`}>{KIND_WORDS[props.kind]}</span>;

export const Tags = (props: { tags: readonly string[] }) => <>{props.tags.map((tag) => <span key={tag} class="badge tag">{tag}</span>)}</>;
