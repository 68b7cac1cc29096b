import * as z from 'zod';
import { TOPIC_NAMES } from '../core/topics.ts';
import { secret } from './marks.ts';

const isSecret = (text: string): boolean => {
  const bytes = Buffer.from(text.slice('whsec_'.length), 'base64');
  return text.startsWith('whsec_') && bytes.length >= 24 && bytes.length <= 64 && bytes.toString('base64') === text.slice('whsec_'.length);
};

export const Webhook = z.strictObject({
  url: z.url({ protocol: /^https?$/ }).max(2048).refine((url) => !URL.canParse(url) || (new URL(url).username === '' && new URL(url).password === ''), 'no user name or password in it: sign with `secret`').meta(secret).describe('Each event is sent there by POST, in order, until it answers with 2xx.'),
  secret: z.string().refine(isSecret, '`whsec_` and 24 to 64 random bytes in base64 expected').optional().meta(secret).describe('Signs what is sent (Standard Webhooks); none: it is not signed.'),
  topics: z.array(z.enum(TOPIC_NAMES)).min(1).prefault([...TOPIC_NAMES]),
  event_types: z.array(z.string().min(1).max(64)).max(64).optional().describe('Only events of these types, such as `rule_began`; none named: all.'),
  cameras: z.array(z.string().min(1).max(64)).max(1000).optional().describe('Only events of these cameras; none named: all, and those of no single camera.'),
});
export type Webhook = z.output<typeof Webhook>;

export const Webhooks = z.array(Webhook).max(16).refine((all) => new Set(all.map(({ url }) => url)).size === all.length, 'two webhooks have the same url').prefault([]);
