/** What the extractor's main thread and the thread that reads codes say to each other. */
import type { CodeFormat } from '../../core/code-formats.ts';
import type { ReadCode } from '../protocol.ts';

/** Read this picture, a binary PGM of 8 bits; one at a time. */
export interface ToCodeThread {
  readonly picture: Uint8Array<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
  readonly formats: readonly CodeFormat[];
}

export type FromCodeThread =
  | { readonly type: 'ready' }
  | { readonly type: 'read'; readonly codes: readonly ReadCode[] }
  | { readonly type: 'failed'; readonly error: string };
