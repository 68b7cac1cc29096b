import { readFileSync, readdirSync } from 'node:fs';

const TICKS_PER_SECOND = 100; // CLK_TCK on every Linux this runs on

/** The first `count` of utime, stime, cutime and cstime (proc(5), stat, from field 14 on), added up, in milliseconds. */
const cpuFields = (pid: number, count: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (fields.slice(11, 11 + count).reduce((sum, ticks) => sum + Number(ticks), 0) * 1000) / TICKS_PER_SECOND;
};

/** CPU time a process has used, user + system, in milliseconds. */
export const cpuMilliseconds = (pid: number): number => cpuFields(pid, 2);

/** The same with that of its children that have ended. */
export const cpuWithEndedChildren = (pid: number): number => cpuFields(pid, 4);

/** A process and everything it started, by /proc. */
export const processTree = (root: number): { readonly pid: number; readonly title: string }[] => {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      const title = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return [{ pid: Number(name), parent, title }];
    } catch {
      return []; // gone meanwhile
    }
  });
  const found = all.filter((process) => process.pid === root);
  for (let i = 0; i < found.length; i++) found.push(...all.filter((process) => process.parent === found[i]?.pid));
  return found.map(({ pid, title }) => ({ pid, title }));
};

/** Resident and proportional memory of a process in MiB (proc(5), smaps_rollup). Pss shares out what several processes map. */
export const memoryMebibytes = (pid: number): { readonly rss: number; readonly pss: number } => {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(rollup)?.[1] ?? Number.NaN) / 1024;
  return { rss: field('Rss'), pss: field('Pss') };
};
