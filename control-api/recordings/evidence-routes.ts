import { OpenAPIHono, createRoute, z } from '@hono/zod-openapi';
import { makeZip } from 'client-zip';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../platform/logging.ts';
import type { SigningKey } from '../../platform/signing-key.ts';
import type { ApiEnv } from '../api-env.ts';
import type { AuditService } from '../audit/service.ts';
import type { DetectionService } from '../detections/service.ts';
import { answerTagged, tagged } from '../etag.ts';
import type { Guard } from '../guard.ts';
import { CameraId, Instant, bearer, guarded, invalid, json, missing, unprocessable } from '../schemas.ts';
import { sendPieces } from '../answer-file.ts';
import { evidenceEntries } from './evidence.ts';
import type { EvidenceEntry } from './evidence.ts';
import type { RecordingService } from './service.ts';

const CameraParam = z.object({ camera: CameraId.openapi({ param: { name: 'camera', in: 'path' } }) });
const RangeQuery = z
  .object({ from: Instant, to: Instant, token: z.string().optional().describe('An access token, for a link that cannot send headers.') })
  .refine(({ from, to }) => from < to, { path: ['to'], error: 'must be after from' });
const PublicKey = z
  .object({ kid: z.string().describe('RFC 7638 thumbprint.'), pem: z.string(), jwk: z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string() }) })
  .openapi('SigningKey', { description: 'Public half of the Ed25519 key that recordings and exports are signed with.' });

export interface EvidenceRoutesOptions {
  readonly recordings: RecordingService;
  readonly detections: DetectionService;
  readonly audit: AuditService;
  readonly guard: Guard;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly key: SigningKey;
  /** The edge's signed manifest; null: there is none. */
  readonly chain: () => Promise<string | null>;
  readonly version: string;
}

export const evidenceRoutes = ({ recordings, detections, audit, guard, clock, logger, key, chain, version }: EvidenceRoutesOptions) => {
  const evidence = createRoute({
    tags: ['recordings'], security: bearer, middleware: guard.require('recording:view', { queryToken: true }), method: 'get', path: '/recordings/{camera}/evidence',
    summary: 'A range with everything to check it by: MP4, recorded files, detections, signed manifest, verifier; one ZIP.', request: { params: CameraParam, query: RangeQuery },
    responses: { 200: { description: 'The ZIP.', content: { 'application/zip': { schema: z.string().openapi({ format: 'binary' }) } } }, ...invalid, ...guarded, ...missing, ...unprocessable },
  });
  const signingKey = createRoute({
    tags: ['recordings'], method: 'get', path: '/recordings/signing-key', summary: 'The public key that recordings and exports are signed with.',
    responses: { 200: json(PublicKey, 'The key.'), 304: { description: 'Unchanged.' } },
  });
  return new OpenAPIHono<ApiEnv>()
    .openapi(signingKey, (c) => {
      const { kid, pem, jwk } = key.public;
      return answerTagged(c.req.header('if-none-match'), tagged({ kid, pem, jwk }));
    })
    .openapi(evidence, async (c) => {
      const { camera } = c.req.valid('param');
      const { from, to } = c.req.valid('query');
      const { username } = c.get('principal');
      const recorded = await recordings.evidence(camera, from, to);
      const source = { camera, from, to, ...recorded, detections, chain: await chain(), key, exportedBy: username, exportedAt: clock.now(), version };
      audit.record({ principal: username, action: 'recording:export', target: camera, detail: { from: new Date(from).toISOString(), to: new Date(to).toISOString() } });
      const name = `${camera}-${new Date(from).toISOString().replace(/[:.]/g, '-')}-evidence.zip`;
      const headers = { 'content-type': 'application/zip', 'cache-control': 'private, no-store', 'content-disposition': `attachment; filename="${name}"` };
      return sendPieces((signal) => zipOf(evidenceEntries(source, signal)), 200, headers, c.env.outgoing, logger);
    });
};

/** A ZIP of stored entries; made as it is read, and given up with it. */
async function* zipOf(entries: AsyncIterable<EvidenceEntry>): AsyncGenerator<Buffer> {
  for await (const piece of makeZip(entries) as ReadableStream<Uint8Array> & AsyncIterable<Uint8Array>) yield Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
}
