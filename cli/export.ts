/** `export` [REC-10]: evidence of a range from a running server, as one ZIP. */
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import type { Command } from 'commander';
import { MediaError } from '../core/errors.ts';
import { configOf, guarded, terminalIo } from './io.ts';
import type { CliIo } from './io.ts';
import { remote } from './remote-command.ts';
import { RestClient } from './rest-client.ts';
import type { RestOptions } from './rest-client.ts';

interface ExportOptions extends RestOptions {
  readonly from: string;
  readonly to: string;
  readonly out?: string;
  readonly json?: true;
}

/** RFC 3339 in UTC with milliseconds. Throws INVALID_ARGUMENT. */
const instant = (option: string, text: string): string => {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new MediaError('INVALID_ARGUMENT', `--${option} must be a time such as 2026-11-22T11:45:00Z`);
  return new Date(ms).toISOString();
};

export const exportCommand = (io: CliIo = terminalIo): Command =>
  remote('export', 'save a range of recordings with its detections, signed, and with what others need to check it, as one ZIP')
    .argument('<camera>')
    .requiredOption('--from <time>', 'first moment, e.g. 2026-11-22T11:45:00Z')
    .requiredOption('--to <time>', 'the moment behind the last')
    .option('-o, --out <file>', 'where to; by default <camera>-<from>-evidence.zip here')
    .action((camera: string, options: ExportOptions, command: Command) =>
      guarded(io, async () => {
        const [from, to] = [instant('from', options.from), instant('to', options.to)];
        const out = options.out ?? `${camera}-${from.replace(/[:.]/g, '-')}-evidence.zip`;
        const client = await RestClient.connect(options, configOf(command, io), io);
        const bytes = await saved(out, client.download(`/v1/recordings/${encodeURIComponent(camera)}/evidence?from=${from}&to=${to}`), (sofar) => { io.progress(`${(sofar / 1e6).toFixed(1)} MB`); });
        io.progress('');
        io.out(options.json ? JSON.stringify({ file: out, bytes }) : `${out}: ${(bytes / 1e6).toFixed(1)} MB; README.txt in it says how to check it`);
      }),
    );

/** Under its name only when it is whole. Throws what the download or the file system throws. */
const saved = async (path: string, pieces: AsyncIterable<Uint8Array>, onBytes: (bytes: number) => void): Promise<number> => {
  const part = `${path}.part`;
  let bytes = 0;
  try {
    const file = createWriteStream(part);
    const closed = new Promise<void>((resolve, reject) => { file.once('close', resolve).once('error', reject); });
    closed.catch(() => undefined); // told by the writing below
    try {
      for await (const piece of pieces) {
        bytes += piece.length;
        if (!file.write(piece)) await Promise.race([new Promise<void>((resolve) => { file.once('drain', resolve); }), closed]);
        onBytes(bytes);
      }
    } finally {
      file.end();
    }
    await closed;
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  return bytes;
};
