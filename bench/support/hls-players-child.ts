/** Blocking LL-HLS players in a process of their own: `hls-players-child.ts URL TOKEN COUNT`. Each asks for the next part's playlist, then for the parts it names. Answers any message with its counts. */
import { Agent, get } from 'node:http';
import type { HlsPlayersReport } from './hls-players.ts';

const [url = '', token = '', count = '0'] = process.argv.slice(2);
const RETRY_MS = 100;
const report = { requests: 0, playlists: 0, parts: 0, failures: 0, bytes: 0 } satisfies HlsPlayersReport;

const fetchText = (agent: Agent, path: string): Promise<string> => new Promise((resolve, reject) => {
  report.requests++;
  get(new URL(path, url), { agent, headers: { authorization: `Bearer ${token}` } }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => { chunks.push(chunk); report.bytes += chunk.length; });
    response.on('end', () => {
      if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString('latin1'));
      else reject(new Error(`${path}: ${String(response.statusCode)}`));
    });
    response.on('error', reject);
  }).on('error', reject);
});

/** Where the playlist ends: the segment being made, its parts so far, and the names of the parts it lists. */
const edgeOf = (playlist: string): { msn: number; part: number; names: string[] } => {
  let msn = Number(/^#EXT-X-MEDIA-SEQUENCE:(\d+)/m.exec(playlist)?.[1] ?? 0);
  let part = 0;
  const names: string[] = [];
  for (const line of playlist.split('\n')) {
    const name = line.startsWith('#EXT-X-PART:') ? /URI="([^"]+)"/.exec(line)?.[1] : undefined;
    if (name !== undefined) { part++; names.push(name); }
    if (line.startsWith('#EXTINF:')) { msn++; part = 0; }
  }
  return { msn, part, names };
};

const play = async (): Promise<never> => {
  const agent = new Agent({ keepAlive: true });
  const had = new Set<string>();
  let next = '';
  for (;;) {
    try {
      const { msn, part, names } = edgeOf(await fetchText(agent, `video.m3u8${next}`));
      report.playlists++;
      const fresh = had.size === 0 ? names.slice(-1) : names.filter((name) => !had.has(name));
      for (const name of names) had.add(name);
      next = `?_HLS_msn=${String(msn)}&_HLS_part=${String(part)}`;
      for (const name of fresh) {
        await fetchText(agent, name);
        report.parts++;
      }
    } catch {
      report.failures++;
      next = '';
      await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
    }
  }
};

process.on('message', () => { process.send?.(report); });
process.on('disconnect', () => { process.exit(0); });
await Promise.all(Array.from({ length: Number(count) }, play));
