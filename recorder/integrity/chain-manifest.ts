/**
 * The signed manifest: one file for all cameras, a compact JWS whose payload pins each camera's chain (`ChainState`). Because all cameras are in
 * one statement, a camera whose whole folder is taken away is missed, too.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { MediaError } from '../../core/errors.ts';
import { CAMERA_ID } from '../../core/frame-ref.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { PublicSigningKey, SigningKey } from '../../platform/signing-key.ts';
import type { ChainState } from './camera-chain.ts';

/** Beside the cameras' folders. */
export const CHAIN_FILE = 'chain.jws';
export const CHAIN_TYPE = 'imageflow-chain+jws';

const Position = z.int().min(1);
const Id = z.string().max(512);
const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const Run = z.object({ first: Position, last: Position, lastId: Id, lastSha256: Sha256.nullable() }).refine(({ first, last }) => first <= last);
const Chain = z.object({
  next: Position,
  head: z.object({ id: Id, sha256: Sha256.nullable() }).nullable(),
  runs: z.array(Run).refine((runs) => runs.every(({ first }, i) => first > (runs[i - 1]?.last ?? 0))),
  open: z.array(Position),
  anew: z.object({ upTo: Position, at: z.number(), reason: z.string() }).nullable(),
});
const Manifest = z.object({
  version: z.literal(1),
  at: z.number(),
  stopped: z.boolean(),
  cameras: z.record(z.string().regex(CAMERA_ID), Chain),
});

export interface ChainManifest {
  readonly version: 1;
  /** Unix ms. */
  readonly at: number;
  /** The recorder ended in good order and will add nothing: a later file is not its own. */
  readonly stopped: boolean;
  readonly cameras: Readonly<Record<CameraId, ChainState>>;
}

/** The file's text; undefined when there is none. Throws what the file system throws. */
export const readChainFile = async (directory: string): Promise<string | undefined> => {
  try {
    return await readFile(join(directory, CHAIN_FILE), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
};

/** The manifest in a JWS. Throws INVALID_ARGUMENT when `key` did not sign it or it does not make sense. */
export const parseChainManifest = async (jws: string, key: PublicSigningKey): Promise<ChainManifest> => {
  const result = Manifest.safeParse(await key.verifyJws(jws));
  if (!result.success) throw new MediaError('INVALID_ARGUMENT', 'a signed manifest that does not make sense', { cause: result.error });
  return result.data;
};

/** Signs and replaces the file in one step. Throws what the file system throws; the old one is then still there. */
export const writeChainFile = async (directory: string, manifest: ChainManifest, key: SigningKey): Promise<void> => {
  const path = join(directory, CHAIN_FILE);
  const jws = await key.signJws(manifest, CHAIN_TYPE);
  {
    await using file = await open(`${path}.new`, 'w');
    await file.writeFile(jws);
    await file.datasync(); // before any file whose expiry it tells is deleted
  }
  await rename(`${path}.new`, path);
};
