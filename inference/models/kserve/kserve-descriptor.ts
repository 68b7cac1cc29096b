import * as z from 'zod';
import { MediaError, messageOf } from '../../../core/errors.ts';
import { isHostPort } from '../../../core/host-port.ts';
import { Labels, Sidecar, metadataOf, readSidecars } from '../model-metadata.ts';
import type { ModelMetadata } from '../model-metadata.ts';

const MAX_URLS = 8;

/** `{name}.kserve.json`: where a model runs, and all that a sidecar may say. */
const Descriptor = Sidecar.extend({
  urls: z.array(z.string().refine(isHostPort, { error: 'must be host:port of a gRPC listener, as "triton:8001"' })).min(1).max(MAX_URLS),
  model: z.string().min(1).max(256),
  /** Absent: the server chooses. */
  version: z.string().min(1).max(64).optional(),
  /** What a header may hold. */
  token: z.string().max(4096).regex(/^[\x20-\x7e]+$/, 'must be printable ASCII').optional(),
  labels: Labels.optional(),
});

/** A model on a KServe v2 server. */
export interface KserveDescriptor {
  /** `host:port`, in the order of preference, each once. */
  readonly urls: readonly string[];
  /** Its name there. */
  readonly model: string;
  /** Empty: the server chooses. */
  readonly version: string;
  /** What the servers want to be shown, as `authorization: Bearer …`. */
  readonly token: string | undefined;
}

const parse = (bytes: Uint8Array): z.output<typeof Descriptor> => {
  try {
    return Descriptor.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch (error) {
    const why = error instanceof z.ZodError ? error.issues.map(({ path: at, message }) => (at.length === 0 ? message : `${at.join('.')}: ${message}`)).join('; ') : messageOf(error);
    throw new MediaError('INVALID_ARGUMENT', `not a description of a model on a KServe server: ${why}`, { cause: error });
  }
};

/**
 * Reads a descriptor and what lies beside it (`{name}.labels.json`, `{name}.json`); what the descriptor says wins. `path`: its file.
 * Throws INVALID_ARGUMENT for what cannot be read.
 */
export const readDescriptor = async (path: string, bytes: Uint8Array): Promise<KserveDescriptor & { readonly metadata: ModelMetadata }> => {
  const { urls, model, version = '', token, labels, ...own } = parse(bytes);
  const beside = await readSidecars(path.replace(/\.kserve\.json$/, ''));
  return { urls: [...new Set(urls)], model, version, token, metadata: metadataOf(labels ?? beside.labels, { ...beside.sidecar, ...own }, new Map()) };
};
