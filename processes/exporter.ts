/** The exporter process: a child of control, which draws boxes into recorded pictures and encodes them anew. Only control starts it. */
import { Socket } from 'node:net';
import { AV_LOG_QUIET } from 'node-av/constants';
import { Log } from 'node-av/lib';
import { exitWithParent } from '../platform/parent-process.ts';
import { yieldToMedia } from '../platform/process-priority.ts';
import { serveExport } from '../recorder/child/exporter-child.ts';

/** `ChildProcess` gives the first extra pipe this descriptor. */
const PIPE_FD = 4;

/** Runs until the pipe to control closes. */
export const runExporter = (): void => {
  // Behind control, which is behind the media: nobody waits at a screen for the next picture of a file.
  yieldToMedia();
  yieldToMedia();
  Log.setLevel(AV_LOG_QUIET);
  // Killed, not ended: an end waits for FFmpeg, which may have a file of gigabytes to write once more.
  const leave = (): void => { process.kill(process.pid, 'SIGKILL'); };
  const parent = exitWithParent({ onParentGone: () => { leave(); return Promise.resolve(); } });
  const pipe = new Socket({ fd: PIPE_FD, readable: true, writable: true });
  pipe.on('end', leave).on('error', leave).on('close', leave);
  process.once('SIGTERM', leave);
  serveExport(pipe, (answer) => { parent?.send(answer); });
};

if (import.meta.main) runExporter();
