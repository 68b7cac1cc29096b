/** `GET /v1/cameras/{camera}/snapshot`: the newest decoded picture of a live camera (EXT-9). */
import type { PictureSource } from '../../extractor/port.ts';
import type { Authorizer, Distribution } from '../../media-control/port.ts';
import type { MediaRequest, MediaRouter } from '../../transport/http/port.ts';
import { distributionOff } from '../distribution-off.ts';
import { pictureEtag, pictureHeaders } from './picture-headers.ts';
import { parseSnapshot } from './picture-query.ts';

export interface SnapshotOptions {
  readonly router: MediaRouter;
  readonly authorizer: Authorizer;
  readonly pictures: PictureSource;
  readonly distribution: Distribution;
}

/** Registers the route; it lives as long as the router. */
export const serveSnapshots = (options: SnapshotOptions): void => {
  options.router.route('GET', '/v1/cameras/:camera/snapshot', (exchange) => answer(options, exchange));
};

const answer = async ({ authorizer, pictures, distribution }: SnapshotOptions, { params, query, credential, request, response, signal }: MediaRequest): Promise<void> => {
  const camera = params['camera'] ?? '';
  const mayWatch = async (): Promise<void> => {
    await authorizer.authorize(credential, 'play', camera);
    if (distribution.isOff(camera)) throw distributionOff(camera);
  };
  await mayWatch();
  const spec = parseSnapshot(query, request.headers.accept);
  const picture = await pictures.still(camera, spec, signal);
  await mayWatch(); // a decoder takes its time to start, in which the credential may have been taken back
  const etag = pictureEtag(picture, spec.quality);
  const { 'content-type': type, 'content-length': length, ...which } = pictureHeaders(picture);
  const headers = { ...which, etag, 'cache-control': 'no-store', vary: 'Accept, Authorization, Origin' };
  if (isKnown(request.headers['if-none-match'], etag)) {
    response.writeHead(304, headers).end();
    return;
  }
  response.writeHead(200, { ...headers, 'content-type': type, 'content-length': length });
  response.end(picture.bytes);
};

/** RFC 9110 §13.1.2, by weak comparison. */
const isKnown = (ifNoneMatch: string | undefined, etag: string): boolean =>
  ifNoneMatch !== undefined && ifNoneMatch.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag);
