import { z } from 'zod';

/** Where an event stands in its topic: a cursor of an event, or `0`, before the first. */
export const EventCursor = z.string().regex(/^\d{1,15}$/, 'must be the cursor of an event, or 0');
