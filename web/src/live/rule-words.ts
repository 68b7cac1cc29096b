import type { RuleEvent } from '../api.ts';

const DIRECTION = { to_left: 'to the left', to_right: 'to the right' } as const;

/** Whether and what, e.g. `2 person in press`; `seconds` is how long it was so, null while it goes on. */
export const ruleInWords = ({ event_type: type, from, to, rule }: RuleEvent): { readonly what: string; readonly seconds: number | null } => {
  const what = rule.class_names.length === 0 ? 'object' : rule.class_names.join(', ');
  if (type === 'rule_happened') return { what: `${what} crossed ${rule.line ?? 'a line'}${rule.direction ? ` ${DIRECTION[rule.direction]}` : ''}`, seconds: null };
  return { what: `${String(rule.count)} × ${what}${rule.zone === null ? '' : ` in ${rule.zone}`}`, seconds: type === 'rule_ended' ? (Date.parse(to) - Date.parse(from)) / 1000 : null };
};

/** The newest first; what has ended takes the place of its begin. */
export const withEvent = (events: readonly RuleEvent[], event: RuleEvent, most: number): readonly RuleEvent[] => {
  const at = events.findIndex(({ rule }) => rule.occurrence_id === event.rule.occurrence_id);
  return at >= 0 ? events.map((one, i) => (i === at ? event : one)) : [event, ...events].slice(0, most);
};
