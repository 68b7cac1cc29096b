import { realpath, stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MediaError } from '../../core/errors.ts';
import type { Source } from './schemas.ts';

/**
 * What a camera's source may be now. Throws UNPROCESSABLE for types that come later, and for a file that is not below `fileDir`:
 * neither by `..`, nor by an absolute path, nor by a link.
 */
export const checkSource = async (source: Source, fileDir: string): Promise<void> => {
  if (source.type === 'push') return;
  if (source.type !== 'file') {
    throw new MediaError('UNPROCESSABLE', `A source of type ${source.type} comes in a later version; push to the server instead.`, { reason: 'SOURCE_NOT_SUPPORTED', context: { source: source.type } });
  }
  if (source.url === undefined) throw new MediaError('UNPROCESSABLE', 'A file source names its file in `url`.', { reason: 'SOURCE_URL_MISSING' });
  const outside = (): MediaError => new MediaError('UNPROCESSABLE', 'A file source must be a file below sources.file_dir.', { reason: 'SOURCE_FILE_REFUSED' });
  let file: string;
  let root: string;
  try {
    root = await realpath(fileDir);
    file = await realpath(resolve(root, source.url.startsWith('file://') ? fileURLToPath(source.url) : source.url));
    if (!(await stat(file)).isFile()) throw outside();
  } catch (error) {
    // The same answer whether the file is missing or elsewhere: nobody learns what there is outside.
    throw error instanceof MediaError ? error : outside();
  }
  const path = relative(root, file);
  if (path === '..' || path.startsWith(`..${sep}`) || isAbsolute(path)) throw outside();
};
