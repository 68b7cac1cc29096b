/** Watching a range: one MP4, an HLS playlist, the recorded files themselves. */
import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import type { Logger } from '../../platform/logging.ts';
import type { ApiEnv } from '../api-env.ts';
import type { DetectionService } from '../detections/service.ts';
import { answerTagged, taggedText } from '../etag.ts';
import type { Guard } from '../guard.ts';
import { may } from '../permissions.ts';
import { CameraId, Instant, bearer, guarded, invalid, missing, unprocessable } from '../schemas.ts';
import { answerFile, sendPieces } from '../answer-file.ts';
import type { FileRequest } from '../answer-file.ts';
import type { RecordingMentions } from './mention.ts';
import type { RecordingService } from './service.ts';
import { unheard } from './unheard-file.ts';
import { renderVodPlaylist } from './vod-playlist.ts';

const camera = CameraId.openapi({ param: { name: 'camera', in: 'path' } });
const token = z.string().optional().describe('An access token, for players that cannot send headers.');
const Flag = z.enum(['true', 'false']);
const Format = z.enum(['mp4', 'fmp4']).default('mp4').describe('`fmp4`: fragmented, begins at once at the key frame before `from`, of any length; without Content-Length, Range and ETag.');
const PlaybackQuery = z.object({ from: Instant, to: Instant, format: Format, token }).refine(({ from, to }) => from < to, { path: ['to'], error: 'must be after from' });
const PlaylistQuery = z
  .object({ from: Instant, to: Instant, token, detections: Flag.optional().describe('`false`: without EXT-X-DATERANGE.') })
  .refine(({ from, to }) => from < to, { path: ['to'], error: 'must be after from' });
const SegmentParams = z.object({
  camera,
  file: z.string().regex(/^\d{1,16}-[A-Za-z0-9_]{1,8}-\d{1,9}\.mp4$/, 'must be the last part of a segment’s id and .mp4').openapi({ param: { name: 'file', in: 'path' }, example: '1750000000000-a1b2c3d4-0.mp4' }),
});

const mp4 = { 'video/mp4': { schema: z.string().openapi({ format: 'binary' }) } };
const fileAnswers = { 200: { description: 'The file.', content: mp4 }, 206: { description: 'Some of its bytes.' }, 304: { description: 'Unchanged.' }, 416: { description: 'No such bytes.' } };
const PLAYLIST = 'application/vnd.apple.mpegurl';

export interface PlaybackRoutesOptions {
  readonly recordings: RecordingService;
  readonly detections: DetectionService;
  readonly mentions: RecordingMentions;
  readonly guard: Guard;
  readonly logger: Logger;
}

export const playbackRoutes = ({ recordings, detections, mentions, guard, logger }: PlaybackRoutesOptions) => {
  const common = { tags: ['recordings'], security: bearer, middleware: guard.require('recording:view', { queryToken: true }), method: 'get' as const };
  const playback = createRoute({
    ...common, path: '/recordings/{camera}/playback', summary: 'Everything recorded in a range as one MP4, not re-encoded. Range, If-Range, If-None-Match and HEAD work.',
    request: { params: z.object({ camera }), query: PlaybackQuery }, responses: { ...fileAnswers, ...invalid, ...guarded, ...missing, ...unprocessable },
  });
  const playlist = createRoute({
    ...common, path: '/recordings/{camera}/playback.m3u8', summary: 'A range as an HLS playlist over the recorded files, with what was detected as EXT-X-DATERANGE.',
    request: { params: z.object({ camera }), query: PlaylistQuery },
    responses: { 200: { description: 'A media playlist.', content: { [PLAYLIST]: { schema: z.string() } } }, 304: { description: 'Unchanged.' }, ...invalid, ...guarded, ...missing },
  });
  const file = createRoute({
    ...common, path: '/recordings/{camera}/segments/{file}', summary: 'One recorded file as it is: a fragmented MP4 that plays by itself.',
    request: { params: SegmentParams, query: z.object({ sound: z.enum(['on', 'off']).default('on').describe('`off`: players see no sound in it; what playlists name where only some files have sound.'), token }) }, responses: { ...fileAnswers, ...invalid, ...guarded, ...missing },
  });
  return new OpenAPIHono<ApiEnv>()
    .openapi(playback, async (c) => {
      const { from, to, format } = c.req.valid('query');
      const id = c.req.valid('param').camera;
      const name = `${id}-${new Date(from).toISOString().replace(/[:.]/g, '-')}.mp4`;
      const head = c.env.incoming.method === 'HEAD';
      const playing = { by: c.get('principal').username, camera: id, from, to, format };
      if (format === 'mp4') {
        const file = await recordings.playback(id, from, to);
        if (!head) mentions.playing(playing);
        return answerFile(file, fileRequest(c), name, c.env.outgoing, logger);
      }
      const read = await recordings.fragments({ camera: id, from, to });
      if (!head) mentions.playing(playing);
      const headers = { 'content-type': 'video/mp4', 'accept-ranges': 'none', 'cache-control': 'private, no-store', 'content-disposition': `inline; filename="${name}"` };
      if (head) return new Response(null, { headers });
      return await sendPieces(read, 200, headers, c.env.outgoing, logger);
    })
    .openapi(playlist, async (c) => {
      const { from, to, token: ticket, detections: wanted } = c.req.valid('query');
      const range = { camera: c.req.valid('param').camera, from, to };
      const show = wanted !== 'false' && may(c.get('principal').permissions, 'detection:view');
      const [segments, presences] = await Promise.all([recordings.cmafSegments(range), show ? detections.presences(range.camera, from, to) : []]);
      mentions.playing({ by: c.get('principal').username, ...range, format: 'hls' });
      return answerTagged(c.req.header('if-none-match'), taggedText(renderVodPlaylist({ segments, from, presences, token: ticket ?? null }), PLAYLIST));
    })
    .openapi(file, async (c) => {
      const { camera: id, file: name } = c.req.valid('param');
      const recorded = await recordings.file(id, name.slice(0, -'.mp4'.length));
      return answerFile(c.req.valid('query').sound === 'off' ? unheard(recorded) : recorded, fileRequest(c), `${id}-${name}`, c.env.outgoing, logger);
    });
};

const fileRequest = (c: { readonly req: { header(name: string): string | undefined }; readonly env: Pick<ApiEnv['Bindings'], 'incoming'> }): FileRequest => ({
  head: c.env.incoming.method === 'HEAD', range: c.req.header('range'), ifRange: c.req.header('if-range'), ifNoneMatch: c.req.header('if-none-match'),
});
