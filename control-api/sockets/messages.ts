/** What is said on `/v1/ws` (spec 2.2): one JSON object a message. */
import { z } from 'zod';
import { MediaError } from '../../core/errors.ts';
import { TOPIC_NAMES } from '../../core/topics.ts';
import type { Topic } from '../../core/topics.ts';
import { EventCursor } from '../events/service.ts';
import { CameraId } from '../schemas.ts';

const Watched = { topic: z.enum(TOPIC_NAMES), camera: CameraId.optional() };
const ClientMessage = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('auth'), token: z.string().min(1).max(8192) }),
  z.strictObject({ type: z.literal('watch'), ...Watched, after: EventCursor.optional() }),
  z.strictObject({ type: z.literal('unwatch'), ...Watched }),
]);

/**
 * From the client. `auth` comes first, if the request showed no token; again at any time, with a newer one. `watch` without `after` tells what
 * happens from now on, with it also what happened after the event of that cursor; with `camera` only what is of that camera.
 */
export type ClientMessage = z.output<typeof ClientMessage>;

/** To the client. */
export type ServerMessage =
  | { readonly type: 'authenticated'; readonly expires_at: string }
  | { readonly type: 'watching' | 'unwatched'; readonly topic: Topic; readonly camera: string | null; /** Before the first event to come. */ readonly cursor?: string }
  | { readonly type: 'event'; readonly topic: Topic; /** Shown as `after`, the events behind this one come. */ readonly cursor: string; readonly event: unknown }
  /** Events that were asked for had been deleted by their age or number. */
  | { readonly type: 'missed'; readonly topic: Topic; readonly camera: string | null }
  | { readonly type: 'error'; readonly code: string; readonly message: string };

/** Throws INVALID_ARGUMENT. */
export const parseClientMessage = (text: string): ClientMessage => {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    throw new MediaError('INVALID_ARGUMENT', 'A message must be a JSON object.', { reason: 'NOT_JSON' });
  }
  const parsed = ClientMessage.safeParse(said);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join('.') ?? '';
  throw new MediaError('INVALID_ARGUMENT', `${where === '' ? '' : `${where}: `}${issue?.message ?? 'not understood'}`.slice(0, 300), { reason: 'BAD_MESSAGE' });
};
