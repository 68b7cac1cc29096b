/** `camera`: speaks to a running server, which checks what it is told and tells the edge at once. */
import { Command, Option } from 'commander';
import { configOf, guarded, terminalIo } from './io.ts';
import type { CliIo } from './io.ts';
import { remote } from './remote-command.ts';
import { RestClient } from './rest-client.ts';
import type { RestOptions } from './rest-client.ts';

interface CameraBody {
  readonly id: string;
  readonly name: string;
  readonly phase: string;
  readonly urls: Readonly<Record<string, string>>;
  readonly publish_key?: string;
}
interface KeyBody {
  readonly id: string;
  readonly kind: string;
  readonly created_at: string;
  readonly revoked_at: string | null;
  readonly key?: string;
}

const connected = (command: Command, io: CliIo, work: (client: RestClient, json: boolean) => Promise<void>): Promise<void> =>
  guarded(io, async () => {
    const options = command.opts<RestOptions & { readonly json?: true }>();
    await work(await RestClient.connect(options, configOf(command, io), io), options.json === true);
  });

const kindOption = (): Option => new Option('--kind <kind>', 'what the key may do').choices(['view', 'publish']).default('view');

export const cameraCommand = (io: CliIo = terminalIo): Command => {
  const add = remote('add', 'add a camera; prints its publish key, this once')
    .argument('<id>')
    .option('--name <name>')
    .option('--file <path>', 'play this MP4 below sources.file_dir in a loop instead of waiting for a publisher')
    .option('--pipeline <id...>', 'detectors to run; none with --no-pipelines')
    .option('--no-pipelines', 'run no detector')
    .option('--no-recording', 'do not record')
    .action((id: string, options: { readonly name?: string; readonly file?: string; readonly pipeline?: readonly string[]; readonly pipelines: boolean; readonly recording: boolean }, command: Command) =>
      connected(command, io, async (client, json) => {
        const camera = await client.request<CameraBody>('POST', '/v1/cameras', {
          id,
          ...(options.name === undefined ? {} : { name: options.name }),
          ...(options.file === undefined ? {} : { source: { type: 'file', url: options.file } }),
          ...(options.pipelines ? (options.pipeline === undefined ? {} : { pipelines: options.pipeline }) : { pipelines: [] }),
          ...(options.recording ? {} : { recording: { policy: 'off' } }),
        });
        if (json) { io.out(JSON.stringify(camera)); return; }
        io.out(`camera       ${camera.id}`);
        io.out(`publish key  ${camera.publish_key ?? ''}`);
        for (const [name, url] of Object.entries(camera.urls)) io.out(`${name.padEnd(12)} ${url}`);
      }),
    );
  const list = remote('list', 'list cameras').action((_options: unknown, command: Command) =>
    connected(command, io, async (client, json) => {
      for await (const camera of client.list<CameraBody>('/v1/cameras')) io.out(json ? JSON.stringify(camera) : [camera.id, camera.phase, camera.name].join('\t'));
    }),
  );
  const remove = remote('remove', 'remove a camera; its recordings stay until they expire')
    .argument('<id>')
    .action((id: string, _options: unknown, command: Command) =>
      connected(command, io, async (client) => {
        await client.request('DELETE', `/v1/cameras/${encodeURIComponent(id)}`);
        io.out(`${id} removed`);
      }),
    );
  const key = remote('key', 'make a key for one camera, shown this once; or list and revoke keys')
    .argument('<id>')
    .addOption(kindOption())
    .option('--list', 'list the keys instead')
    .option('--revoke <key-id>', 'revoke this key instead')
    .action((id: string, options: { readonly kind: string; readonly list?: true; readonly revoke?: string }, command: Command) =>
      connected(command, io, async (client, json) => {
        const path = `/v1/cameras/${encodeURIComponent(id)}/keys`;
        if (options.list) {
          for await (const entry of client.list<KeyBody>(path)) io.out(json ? JSON.stringify(entry) : [entry.id, entry.kind, entry.created_at, entry.revoked_at === null ? 'valid' : 'revoked'].join('\t'));
        } else if (options.revoke !== undefined) {
          await client.request('DELETE', `${path}/${encodeURIComponent(options.revoke)}`);
          io.out(`${options.revoke} revoked`);
        } else {
          const made = await client.request<KeyBody>('POST', path, { kind: options.kind });
          io.out(json ? JSON.stringify(made) : (made.key ?? ''));
        }
      }),
    );
  return new Command('camera').description('manage the cameras of a running server').addCommand(add).addCommand(list).addCommand(remove).addCommand(key);
};
