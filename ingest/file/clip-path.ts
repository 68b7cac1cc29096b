import { realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MediaError } from '../../core/errors.ts';

const refuse = (url: string, message: string, cause?: unknown): MediaError =>
  new MediaError('UNPROCESSABLE', message, { reason: 'FILE_SOURCE', cause, context: { url: url.slice(0, 300) } });

/**
 * The real path of a `file` source below `directory` (`sources.file_dir`). `url` is a path relative to the directory, an absolute
 * one, or either behind `file:`. Links are followed before the check, so none leads out. Throws UNPROCESSABLE.
 */
export const resolveClip = async (directory: string, url: string): Promise<string> => {
  const wanted = toPath(url);
  try {
    const root = await realpath(directory);
    const path = await realpath(isAbsolute(wanted) ? wanted : join(root, wanted));
    const within = relative(root, path);
    if (within !== '' && within !== '..' && !within.startsWith(`..${sep}`) && !isAbsolute(within)) return path;
  } catch (error) {
    throw refuse(url, 'the file of this source cannot be found below sources.file_dir', error);
  }
  throw refuse(url, 'a file source may read only below sources.file_dir');
};

const toPath = (url: string): string => {
  if (url === '' || url.includes('\0')) throw refuse(url, 'a file source needs the path of a file');
  if (!/^file:/i.test(url)) return url;
  if (!/^file:\/\//i.test(url)) return url.slice('file:'.length);
  try {
    return fileURLToPath(url);
  } catch (error) {
    throw refuse(url, 'not a usable file URL', error);
  }
};
