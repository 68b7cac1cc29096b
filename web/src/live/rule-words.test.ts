import { expect, test } from 'vitest';
import type { RuleEvent } from '../api.ts';
import { ruleInWords, withEvent } from './rule-words.ts';

const event = (type: RuleEvent['event_type'], occurrence: string, rule: Partial<RuleEvent['rule']> = {}): RuleEvent => ({
  event_type: type, event_id: `${occurrence} ${type}`, from: '2026-11-30T10:00:00.000Z', to: '2026-11-30T10:00:07.500Z',
  rule: { occurrence_id: occurrence, id: 'r', zone: null, line: null, direction: null, count: 2, class_names: ['person'], ...rule },
});

test('[INF-6] what a rule says is told in words', () => {
  expect(ruleInWords(event('rule_began', 'a', { zone: 'press' }))).toEqual({ what: '2 × person in press', seconds: null });
  expect(ruleInWords(event('rule_ended', 'a', { class_names: [] }))).toEqual({ what: '2 × object', seconds: 7.5 });
  expect(ruleInWords(event('rule_happened', 'a', { line: 'gate', direction: 'to_left' })).what).toBe('person crossed gate to the left');
});

test('[INF-6] the newest is first, and what ended takes the place of its begin', () => {
  const two = withEvent(withEvent([], event('rule_began', 'a'), 2), event('rule_happened', 'b'), 2);
  expect(withEvent(two, event('rule_ended', 'a'), 2).map(({ event_id: id }) => id)).toEqual(['b rule_happened', 'a rule_ended']);
  expect(withEvent(two, event('rule_began', 'c'), 2).map(({ event_id: id }) => id)).toEqual(['c rule_began', 'b rule_happened']);
});
