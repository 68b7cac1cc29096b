import type { Kysely, Transaction } from 'kysely';
import * as z from 'zod';
import type { Clock } from '../../core/clock.ts';
import { CAMERA_ID } from '../../core/frame-ref.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { Camera, CameraKey, Hello, Inventory } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import { expireSegments, upsertSegments } from './segment-rows.ts';

const ControlJson = z.object({ source: z.unknown(), pipelines: z.array(z.unknown()), recording: z.unknown(), extra: z.record(z.string(), z.unknown()) });

/**
 * What an edge holds, for a database that was lost or put back: its recordings become the index again, and, when there is no camera at
 * all, its cameras and their keys (by hash) come back, too. Give the pieces in order; the last one makes it count.
 */
export class InventoryIntake {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;
  readonly #hello: Hello;
  readonly #ids = new Set<string>();

  constructor(options: { readonly db: Kysely<Database>; readonly clock: Clock; readonly hello: Hello }) {
    this.#db = options.db;
    this.#clock = options.clock;
    this.#hello = options.hello;
  }

  /** Resolves with true when that was the last piece: what came is committed. */
  async take(piece: Inventory): Promise<boolean> {
    for (const { id } of piece.segments) this.#ids.add(id);
    await upsertSegments(this.#db, piece.segments);
    if (!piece.complete) return false;
    await this.#db.transaction().execute(async (tx) => {
      await this.#expireUnknown(tx);
      await this.#adopt(tx, piece.cameras, piece.keys);
      const { journalId, edgeId, mediaBaseUrl } = this.#hello;
      const seen = { edge_id: edgeId, media_base_url: mediaBaseUrl, seen_at: this.#clock.now() };
      await tx.insertInto('edges').values({ journal_id: journalId, last_seq: 0, ...seen }).onConflict((conflict) => conflict.column('journal_id').doUpdateSet(seen)).execute();
    });
    return true;
  }

  /** Listed segments that are said to be there and whose files are gone, of cameras the edge has nothing left of, too: their expiry was told to the database that is lost. */
  async #expireUnknown(tx: Transaction<Database>): Promise<void> {
    const listed = tx.selectFrom('segments').select('camera_id').where('expired_at', 'is', null).where('local', '=', 1).orderBy('camera_id').limit(1);
    let next = await listed.executeTakeFirst();
    while (next !== undefined) {
      const camera = next.camera_id;
      const rows = await tx.selectFrom('segments').select('id').where('camera_id', '=', camera).where('expired_at', 'is', null).where('local', '=', 1).execute();
      await expireSegments(tx, rows.map(({ id }) => id).filter((id) => !this.#ids.has(id)), this.#clock.now());
      next = await listed.where('camera_id', '>', camera).executeTakeFirst();
    }
  }

  async #adopt(tx: Transaction<Database>, cameras: readonly Camera[], keys: readonly CameraKey[]): Promise<void> {
    const any = await tx.selectFrom('cameras').select('id').limit(1).executeTakeFirst();
    if (any) return;
    const now = this.#clock.now();
    for (const camera of cameras) {
      const settings = settingsOf(camera);
      if (!CAMERA_ID.test(camera.id)) continue;
      await tx
        .insertInto('cameras')
        .values({ id: camera.id, name: camera.name, ...settings, distribution: camera.distributionOff ? 'off' : 'on', created_at: now, updated_at: now, deleted_at: null })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    }
    const adopted = new Set(cameras.map((camera) => camera.id));
    for (const key of keys) {
      if (!adopted.has(key.camera) || (key.grants !== 'publish' && key.grants !== 'view')) continue;
      await tx
        .insertInto('camera_keys')
        .values({ id: key.id, camera_id: key.camera, kind: key.grants, hash: key.sha256, ha1: key.ha1, created_at: now, revoked_at: null })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    }
  }
}

/** As control stored them; else what the edge knows, as the API would write it. */
const settingsOf = (camera: Camera): { readonly source: string; readonly pipelines: string; readonly recording: string; readonly extra: string } => {
  const stored = ControlJson.safeParse(parseJson(camera.controlJson));
  const { source, pipelines, recording, extra } = stored.success
    ? stored.data
    : {
        source: camera.source.case === 'file' ? { type: 'file', url: camera.source.value.url } : { type: 'push' },
        pipelines: camera.detectors.map((detector) => detector.id),
        recording: { policy: camera.recording === 'off' ? 'off' : 'always' },
        extra: {},
      };
  return { source: JSON.stringify(source), pipelines: JSON.stringify(pipelines), recording: JSON.stringify(recording), extra: JSON.stringify(extra) };
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
