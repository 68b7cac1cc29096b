import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { Command } from 'commander';
import { runServer } from './server.ts';
import type { Serving } from './server.ts';

const PUSHER = join(import.meta.dirname, '..', 'demo', 'push.ts');
const PASSWORD = 'imageflow-demo';

/** Starts the two demo cameras in a process of their own, as cameras are. */
const pushClips = ({ urls, config, adminPassword }: Serving): ChildProcess => {
  const password = adminPassword ?? config.admin.password ?? PASSWORD;
  return spawn(process.execPath, [PUSHER], {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, DEMO_HTTP: urls.http, DEMO_RTSP: urls.rtsp, DEMO_PASSWORD: password },
  });
};

/** `imageflow-edge demo`: the server with two cameras that push bundled clips through its own RTSP door. Exits non-zero if one is not detected within 30 s. */
export const demoCommand = (): Command =>
  new Command('demo')
    .description('run the server with two demo cameras')
    .option('--config <file>', 'YAML configuration; else IMAGEFLOW_CONFIG')
    .action(async (options: { config?: string }) => {
      process.env['IMAGEFLOW_DATA_DIR'] ??= './data/demo';
      process.env['IMAGEFLOW_ADMIN_PASSWORD'] ??= PASSWORD;
      let failed = 0;
      let stopping = false;
      let cameras: ChildProcess | undefined;
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => { stopping = true; });
      const code = await runServer(options.config, (serving) => {
        cameras = pushClips(serving).on('close', (pushed) => {
          if (stopping) return;
          failed = pushed ?? 1;
          process.kill(process.pid, 'SIGTERM'); // the cameras are gone: the demo is over
        });
      });
      cameras?.kill(); // they end with this process, which would wait for them
      process.exitCode = failed === 0 ? code : failed;
    });
