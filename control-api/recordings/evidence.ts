/** Evidence [REC-10]: a range of a camera with everything that lets others check it, as the entries of one ZIP. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Milliseconds } from '../../core/units.ts';
import type { SigningKey } from '../../platform/signing-key.ts';
import type { PlaybackFile, RecordedFile, SegmentRecord } from '../../recorder/port.ts';
import type { DetectionService } from '../detections/service.ts';
import { timestamp } from '../schemas.ts';
import { evidenceReadme } from './evidence-readme.ts';

export interface EvidenceSegment {
  readonly record: SegmentRecord;
  readonly prevSha256: string | null;
  readonly file: RecordedFile;
}

export interface EvidenceSource {
  readonly camera: string;
  readonly from: Milliseconds;
  readonly to: Milliseconds;
  readonly playback: PlaybackFile;
  readonly segments: readonly EvidenceSegment[];
  readonly detections: Pick<DetectionService, 'list'>;
  /** The edge's signed manifest; null: there is none. */
  readonly chain: string | null;
  readonly key: SigningKey;
  readonly exportedBy: string;
  readonly exportedAt: Milliseconds;
  readonly version: string;
}

export interface EvidenceEntry {
  readonly name: string;
  readonly lastModified: Date;
  readonly input: AsyncIterable<Buffer>;
}

const DETECTIONS_PER_PAGE = 1_000;
const verifier = new URL('./evidence-verifier.mjs', import.meta.url);

/**
 * Entry by entry: each must be taken whole before the next is asked for, since the manifest, which comes last, tells the SHA-256 of all before it.
 * Throws what reading throws: a recording that has gone meanwhile ends the export.
 */
export async function* evidenceEntries(source: EvidenceSource, signal: AbortSignal): AsyncGenerator<EvidenceEntry> {
  const { camera, from, to, playback, segments, chain, key } = source;
  const lastModified = new Date(source.exportedAt);
  const files: { name: string; bytes: number; sha256: string }[] = [];
  const models = new Map<string, Set<string>>();
  let detections = 0;
  const entry = (name: string, content: AsyncIterable<Buffer>): EvidenceEntry => ({ name, lastModified, input: measured(content, (bytes, sha256) => { files.push({ name, bytes, sha256 }); }) });

  yield entry('README.txt', once(evidenceReadme({ camera, from, to, kid: key.public.kid })));
  yield entry('verify.mjs', once(await readFile(verifier)));
  yield entry('public-key.pem', once(key.public.pem));
  yield entry('recording.mp4', playback.read(0, playback.byteLength, signal));
  for (const { record, file } of segments) yield entry(fileOf(record), file.read(0, file.byteLength, signal));
  yield entry('detections.jsonl', detectionLines(source, (model, digest) => {
    detections++;
    models.set(model, (models.get(model) ?? new Set()).add(digest));
  }));
  if (chain !== null) yield entry('chain.jws', once(chain));
  const sums = files.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join('');
  yield entry('SHA256SUMS', once(sums));

  const manifest = {
    version: 1, type: 'imageflow-edge evidence', camera, from: timestamp(from), to: timestamp(to), exported_at: timestamp(source.exportedAt), exported_by: source.exportedBy, server_version: source.version, key: key.public.jwk, key_id: key.public.kid,
    recording: { file: 'recording.mp4', first_picture: timestamp(playback.firstWall), last_picture: timestamp(playback.lastWall) },
    segments: segments.map(({ record, prevSha256 }) => ({
      id: record.id, file: fileOf(record), session_id: record.sessionId, start: timestamp(record.start), duration: record.duration / 1000, gap_before: record.gapBefore === null ? null : record.gapBefore / 1000,
      bytes: files.find(({ name }) => name === fileOf(record))?.bytes ?? 0, sha256: files.find(({ name }) => name === fileOf(record))?.sha256 ?? null, indexed_sha256: record.sha256, prev_sha256: prevSha256, open: record.open,
    })),
    detections: { file: 'detections.jsonl', count: detections, models: [...models].map(([model, digests]) => ({ model, digests: [...digests] })) },
    chain: chain === null ? null : 'chain.jws', files,
  };
  const jws = await key.signJws(manifest, 'imageflow-evidence+jws');
  yield { name: 'manifest.jws', lastModified, input: once(jws) };
  yield { name: 'manifest.json', lastModified, input: once(Buffer.from(jws.split('.')[1] ?? '', 'base64url')) };
}

const fileOf = ({ id }: SegmentRecord): string => `segments/${id.split('/')[1] ?? id}.mp4`;

async function* once(content: string | Buffer): AsyncGenerator<Buffer> {
  await Promise.resolve();
  yield Buffer.from(content);
}

async function* measured(content: AsyncIterable<Buffer>, done: (bytes: number, sha256: string) => void): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of content) {
    hash.update(piece);
    bytes += piece.length;
    yield piece;
  }
  done(bytes, hash.digest('hex'));
}

/** As the API lists them, oldest first, one JSON object a line. */
async function* detectionLines({ camera, from, to, detections }: EvidenceSource, onModel: (model: string, digest: string) => void): AsyncGenerator<Buffer> {
  let after: readonly [number, number] | undefined;
  for (;;) {
    const rows = await detections.list({ camera, from, to }, 'asc', after, DETECTIONS_PER_PAGE);
    const lines = rows.map((row) => {
      onModel(row.model, row.model_digest);
      const { x, y, width, height } = row;
      return `${JSON.stringify({
        id: row.id, camera: row.camera_id, stream_epoch: row.stream_epoch, rtp_timestamp: row.rtp_timestamp, captured_at: timestamp(row.captured_at_ms), sequence: row.sequence, class_name: row.class_name,
        class_id: row.class_id, confidence: row.confidence, bbox: { x, y, width, height }, track_id: row.track_id, model: row.model, model_digest: row.model_digest,
      })}\n`;
    });
    yield Buffer.from(lines.join(''));
    const last = rows.at(-1);
    if (!last || rows.length < DETECTIONS_PER_PAGE) return;
    after = [last.captured_at_ms, last.id];
  }
}
