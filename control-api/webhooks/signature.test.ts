import { expect, test } from 'vitest';
import { Webhook } from 'standardwebhooks';
import { deliveryHeaders } from './signature.ts';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

test('[INF-6] what is signed is taken by the library of Standard Webhooks, and by no other secret or body', () => {
  const body = JSON.stringify({ event: 'größer' });
  const headers = deliveryHeaders('msg_1', body, SECRET, Date.now());
  expect(new Webhook(SECRET).verify(body, headers)).toEqual({ event: 'größer' });
  expect(() => new Webhook(SECRET).verify(`${body} `, headers)).toThrow();
  expect(() => new Webhook(`whsec_${Buffer.alloc(32, 8).toString('base64')}`).verify(body, headers)).toThrow();
  expect(deliveryHeaders('msg_1', body, null, 1_999)).toEqual({ 'content-type': 'application/json', 'webhook-id': 'msg_1', 'webhook-timestamp': '1' });
});
