import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import { MediaError } from '../../core/errors.ts';
import type { ApiEnv } from '../api-env.ts';
import type { AuditService } from '../audit/service.ts';
import { answerTagged, tagged } from '../etag.ts';
import type { Guard } from '../guard.ts';
import { PageQuery, decodeCursor, page, pageOf } from '../paging.ts';
import { CameraId, Instant, bearer, body, bodyRefused, conflict, guarded, invalid, json, missing, tooMany, unprocessable } from '../schemas.ts';
import { CamerasQuery, MarkQuery, commaList, markFilterOf } from './query.ts';
import { Mark, MarkKind, MarkPatch, NewMark } from './schemas.ts';
import type { Mark as StoredMark, MarkService } from './service.ts';
import { markView } from './view.ts';

const CameraParam = z.object({ camera: CameraId.openapi({ param: { name: 'camera', in: 'path' } }) });
const MarkParam = z.object({ id: z.string().min(1).max(64).openapi({ param: { name: 'id', in: 'path' } }) });
const Filters = { kind: commaList(MarkKind, 3, 'One of these kinds.'), from: Instant.optional(), to: Instant.optional(), ...MarkQuery, ...PageQuery };
const ordered = (range: { readonly from?: number | undefined; readonly to?: number | undefined }): boolean => range.from === undefined || range.to === undefined || range.from < range.to;
const notOrdered = { path: ['to'], error: 'must be after from' };
const ListQuery = z.object({ camera: CamerasQuery, ...Filters }).refine(ordered, notOrdered);
const CameraListQuery = z.object(Filters).refine(ordered, notOrdered);
const Position = z.tuple([z.int()]);

export const markRoutes = (marks: MarkService, audit: AuditService, guard: Guard) => {
  const view = { tags: ['recordings'], security: bearer, middleware: guard.require('recording:view') };
  const manage = { tags: ['recordings'], security: bearer, middleware: guard.require('recording:manage') };
  const unchanged = { 304: { description: 'Unchanged.' } };
  const refused = { ...invalid, ...guarded, ...missing, ...conflict, ...unprocessable, ...bodyRefused, ...tooMany };
  const create = createRoute({
    ...manage, method: 'post', path: '/recordings/{camera}/marks', summary: 'Pin a range, link it to a product, an inspection or a work order, or keep it as a clip.',
    request: { params: CameraParam, body: body(NewMark) }, responses: { 201: json(Mark, 'The mark.'), ...refused },
  });
  const listOf = createRoute({
    ...view, method: 'get', path: '/recordings/{camera}/marks', summary: "A camera's marks that overlap a range, the one that begins last first.", request: { params: CameraParam, query: CameraListQuery },
    responses: { 200: json(pageOf(Mark), 'A page.'), ...unchanged, ...invalid, ...guarded, ...missing },
  });
  const list = createRoute({
    ...view, method: 'get', path: '/marks', summary: 'Marks of all cameras, the one that begins last first.', request: { query: ListQuery },
    responses: { 200: json(pageOf(Mark), 'A page.'), ...unchanged, ...invalid, ...guarded },
  });
  const get = createRoute({
    ...view, method: 'get', path: '/marks/{id}', summary: 'One mark.', request: { params: MarkParam },
    responses: { 200: json(Mark, 'The mark.'), ...unchanged, ...invalid, ...guarded, ...missing },
  });
  const patch = createRoute({
    ...manage, method: 'patch', path: '/marks/{id}', summary: 'Set what is named; null takes a text away.', request: { params: MarkParam, body: body(MarkPatch) },
    responses: { 200: json(Mark, 'The mark.'), ...refused },
  });
  const remove = createRoute({
    ...manage, method: 'delete', path: '/marks/{id}', summary: 'Remove a mark: what it kept on disk goes when its time is over; what is in the archive stays there.', request: { params: MarkParam },
    responses: { 204: { description: 'Removed.' }, ...invalid, ...guarded, ...missing },
  });
  const answer = (ifNoneMatch: string | undefined, rows: readonly StoredMark[], limit: number): Response =>
    answerTagged(ifNoneMatch, tagged(page(rows, limit, markView, (row) => [row.seq])));

  return new OpenAPIHono<ApiEnv>()
    .openapi(create, async (c) => {
      const { username } = c.get('principal');
      const mark = await marks.create(c.req.valid('param').camera, c.req.valid('json'), username);
      const shown = markView(mark);
      audit.record({ principal: username, action: 'mark:create', target: mark.id, detail: { camera: shown.camera, kind: shown.kind, from: shown.from, to: shown.to, archive: shown.archive } });
      c.header('location', `/v1/marks/${mark.id}`);
      return c.json(shown, 201);
    })
    .openapi(listOf, async (c) => {
      const { kind, from, to, limit, cursor, ...query } = c.req.valid('query');
      const filter = { ...markFilterOf(query), kinds: kind, from, to };
      return answer(c.req.header('if-none-match'), await marks.listOf(c.req.valid('param').camera, filter, decodeCursor(cursor, Position)?.[0], limit + 1), limit);
    })
    .openapi(list, async (c) => {
      const { camera, kind, from, to, limit, cursor, ...query } = c.req.valid('query');
      const filter = { ...markFilterOf(query), cameras: camera, kinds: kind, from, to };
      return answer(c.req.header('if-none-match'), await marks.list(filter, decodeCursor(cursor, Position)?.[0], limit + 1), limit);
    })
    .openapi(get, async (c) => answerTagged(c.req.header('if-none-match'), tagged(markView(await marks.get(c.req.valid('param').id)))))
    .openapi(patch, async (c) => {
      const change = c.req.valid('json');
      if (Object.keys(change).length === 0) throw new MediaError('INVALID_ARGUMENT', 'The patch names nothing to change.', { reason: 'EMPTY_PATCH' });
      const mark = await marks.patch(c.req.valid('param').id, change);
      audit.record({ principal: c.get('principal').username, action: 'mark:patch', target: mark.id, detail: { camera: mark.camera_id, changed: Object.keys(change) } });
      return c.json(markView(mark), 200);
    })
    .openapi(remove, async (c) => {
      const mark = await marks.get(c.req.valid('param').id);
      await marks.remove(mark.id);
      const { camera, kind, from, to } = markView(mark);
      audit.record({ principal: c.get('principal').username, action: 'mark:remove', target: mark.id, detail: { camera, kind, from, to } });
      return c.body(null, 204);
    });
};
