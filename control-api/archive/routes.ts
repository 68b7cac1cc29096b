import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { ApiEnv } from '../api-env.ts';
import type { Guard } from '../guard.ts';
import { Timestamp, bearer, guarded, json, timestampOrNull } from '../schemas.ts';
import type { ArchiveService } from './service.ts';

const Archive = z
  .object({
    place: z.string().describe('Where marked recordings go.'),
    unavailable_since: Timestamp.nullable().describe('Since when it has taken nothing; null: it does.'),
    error: z.string().nullable(),
    waiting: z.object({ segments: z.int(), bytes: z.int(), oldest: Timestamp.nullable() }).describe('What is yet to be sent; it stays on disk until then.'),
    uploading: z.int().describe('Segments being sent now.'),
    last_archived_at: Timestamp.nullable().describe('Since the start of the server.'),
  })
  .openapi('Archive');

export const archiveRoutes = (archive: ArchiveService, guard: Guard) => {
  const status = createRoute({
    tags: ['recordings'], security: bearer, middleware: guard.require('recording:manage'), method: 'get', path: '/archive', summary: 'How the archive goes: what waits, and whether its store takes it.',
    responses: { 200: json(Archive, 'Its state.'), ...guarded },
  });
  return new OpenAPIHono<ApiEnv>().openapi(status, async (c) => {
    const { place, unavailableSince, error, waiting, uploading, lastArchivedAt } = await archive.status();
    return c.json({
      place, unavailable_since: timestampOrNull(unavailableSince), error, uploading, last_archived_at: timestampOrNull(lastArchivedAt),
      waiting: { segments: waiting.segments, bytes: waiting.bytes, oldest: timestampOrNull(waiting.oldest) },
    }, 200);
  });
};
