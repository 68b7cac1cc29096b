import { createHmac } from 'node:crypto';

/**
 * The headers of one delivery by the Standard Webhooks specification 1.0: `webhook-id` is the same however often the event is sent, and
 * `webhook-signature` is the HMAC-SHA256 of `id.timestamp.body`. `secret`: `whsec_` and base64; null: it is not signed. `now`: Unix ms.
 */
export const deliveryHeaders = (id: string, body: string, secret: string | null, now: number): Readonly<Record<string, string>> => {
  const timestamp = String(Math.floor(now / 1000));
  return {
    'content-type': 'application/json', 'webhook-id': id, 'webhook-timestamp': timestamp,
    ...(secret !== null && { 'webhook-signature': `v1,${createHmac('sha256', Buffer.from(secret.slice('whsec_'.length), 'base64')).update(`${id}.${timestamp}.${body}`).digest('base64')}` }),
  };
};
