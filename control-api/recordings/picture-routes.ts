/** Pictures of recorded moments: thumbnails, snapshots, sprite sheets. */
import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { PictureFormat, RecordedPicture } from '../../recorder/port.ts';
import type { ApiEnv } from '../api-env.ts';
import { answerTagged, matches, taggedText } from '../etag.ts';
import type { Guard } from '../guard.ts';
import { CameraId, Instant, bearer, guarded, invalid, missing, timestamp, unavailable, unprocessable } from '../schemas.ts';
import type { RecordingService } from './service.ts';
import { renderSpriteMap } from './sprite-map.ts';

const params = z.object({ camera: CameraId.openapi({ param: { name: 'camera', in: 'path' } }) });
const token = z.string().optional().describe('An access token, for an `<img>` element that cannot send headers.');
const format = z.enum(['jpeg', 'webp']).optional().describe('By default what `Accept` prefers: WebP when it names it.');
const whole = (least: number, most: number, fallback: number) => z.coerce.number().int().min(least).max(most).default(fallback);
const SnapshotQuery = z.object({ at: Instant, format, token });
const ThumbnailQuery = z.object({ at: Instant, width: whole(16, 4096, 320).describe('Pixels; never more than were recorded.'), format, token });
const SpritesQuery = z
  .object({ from: Instant, to: Instant, count: whole(1, 100, 50), width: whole(16, 640, 160).describe('Of one picture, pixels.'), format, token })
  .refine(({ from, to }) => from < to, { path: ['to'], error: 'must be after from' });

const binary = z.string().openapi({ format: 'binary' });
const pictureAnswers = {
  200: { description: 'The picture.', content: { 'image/jpeg': { schema: binary }, 'image/webp': { schema: binary } } },
  304: { description: 'Unchanged.' }, ...invalid, ...guarded, ...missing, ...unprocessable, ...unavailable,
};

export const pictureRoutes = (recordings: RecordingService, guard: Guard) => {
  const common = { tags: ['recordings'], security: bearer, middleware: guard.require('recording:view', { queryToken: true }), method: 'get' as const };
  const thumbnail = createRoute({
    ...common, path: '/recordings/{camera}/thumbnail', summary: 'The very picture shown at a moment, scaled. `X-Picture-Time` tells when it was taken.',
    request: { params, query: ThumbnailQuery }, responses: pictureAnswers,
  });
  const snapshot = createRoute({ ...common, path: '/recordings/{camera}/snapshot', summary: 'The same as large as it was recorded.', request: { params, query: SnapshotQuery }, responses: pictureAnswers });
  const sprites = createRoute({
    ...common, path: '/recordings/{camera}/sprites', summary: 'Key frames at equal distances in a range, in one picture of ten columns; `sprites.vtt` tells which is where.',
    request: { params, query: SpritesQuery }, responses: pictureAnswers,
  });
  const map = createRoute({
    ...common, path: '/recordings/{camera}/sprites.vtt', summary: 'WebVTT thumbnails for the same parameters: seconds from the begin of the range, and the place in the picture.',
    request: { params, query: SpritesQuery },
    responses: { 200: { description: 'The map.', content: { 'text/vtt': { schema: z.string() } } }, 304: { description: 'Unchanged.' }, ...invalid, ...guarded, ...missing },
  });
  return new OpenAPIHono<ApiEnv>()
    .openapi(thumbnail, async (c) => {
      const { at, width, format: wanted } = c.req.valid('query');
      const picture = await recordings.picture(c.req.valid('param').camera, at, width, wanted ?? preferred(c.req.header('accept')));
      return await answerPicture(picture, c.req.header('if-none-match'), { 'x-picture-time': timestamp(picture.wall) }, c.req.raw.signal);
    })
    .openapi(snapshot, async (c) => {
      const { at, format: wanted } = c.req.valid('query');
      const picture = await recordings.picture(c.req.valid('param').camera, at, null, wanted ?? preferred(c.req.header('accept')));
      return await answerPicture(picture, c.req.header('if-none-match'), { 'x-picture-time': timestamp(picture.wall) }, c.req.raw.signal);
    })
    .openapi(sprites, async (c) => {
      const { from, to, count, width, format: wanted } = c.req.valid('query');
      const sheet = await recordings.sprites({ camera: c.req.valid('param').camera, from, to }, count, width, wanted ?? preferred(c.req.header('accept')));
      return await answerPicture(sheet, c.req.header('if-none-match'), {}, c.req.raw.signal);
    })
    .openapi(map, async (c) => {
      const { from, to, count, width, format: wanted } = c.req.valid('query');
      const sheet = await recordings.sprites({ camera: c.req.valid('param').camera, from, to }, count, width, wanted ?? 'jpeg');
      return answerTagged(c.req.header('if-none-match'), taggedText(renderSpriteMap(sheet.tiles, new URL(c.req.url).search), 'text/vtt'));
    });
};

const preferred = (accept: string | undefined): PictureFormat => (accept !== undefined && /image\/webp(?!\s*;\s*q=0(?:\.0+)?(?:,|$))/i.test(accept) ? 'webp' : 'jpeg');

const answerPicture = async (picture: Omit<RecordedPicture, 'wall'>, ifNoneMatch: string | undefined, more: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response> => {
  const headers = { etag: picture.etag, 'cache-control': 'private, no-cache', vary: 'accept', ...more };
  if (matches(ifNoneMatch, picture.etag)) return new Response(null, { status: 304, headers });
  const bytes = await picture.bytes(signal);
  return new Response(new Uint8Array(bytes), { headers: { ...headers, 'content-type': picture.contentType } });
};
