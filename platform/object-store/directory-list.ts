import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectInfo, ObjectPage } from './object-store.ts';

const PAGE = 1_000;

/** One page of the files below `root` whose keys begin with `prefix` and follow `after`, in the order of the keys. Names that begin with a dot are none. */
export const listDirectory = async (root: string, prefix: string, after = ''): Promise<ObjectPage> => {
  const items: ObjectInfo[] = [];
  for await (const key of keysBelow(root, '', prefix, after)) {
    if (items.length === PAGE) return { items, next: items.at(-1)?.key };
    try {
      const { size, mtimeMs } = await stat(join(root, key));
      items.push({ key, size, modified: mtimeMs });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // deleted meanwhile
    }
  }
  return { items, next: undefined };
};

async function* keysBelow(root: string, folder: string, prefix: string, after: string): AsyncGenerator<string> {
  let entries;
  try {
    entries = await readdir(join(root, folder), { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  // A folder sorts as what is in it: `a-b` is before `a/…`.
  const names = entries
    .filter((entry) => !entry.name.startsWith('.') && (entry.isFile() || entry.isDirectory()))
    .map((entry) => `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`)
    .sort((a, b) => (a < b ? -1 : 1));
  for (const name of names) {
    if (!name.startsWith(prefix) && !prefix.startsWith(name)) continue;
    if (!name.endsWith('/')) {
      if (name > after && name.startsWith(prefix)) yield name;
    } else if (name > after || after.startsWith(name)) yield* keysBelow(root, name, prefix, after);
  }
}
