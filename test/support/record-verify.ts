import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const MAX_OUTPUT = 16 << 20;

export interface VerifyReport {
  readonly checked: number;
  readonly problems: readonly { readonly id: string; readonly problem: string }[];
}

/** `imageflow-edge record verify` over a data folder, as an operator would run it beside the server. */
export const recordVerify = async (dataDir: string): Promise<VerifyReport> => {
  const { stdout } = await promisify(execFile)(process.execPath, ['main.ts', 'record', 'verify', '--json'], { env: { ...process.env, IMAGEFLOW_DATA_DIR: dataDir }, maxBuffer: MAX_OUTPUT })
    .catch((error: unknown) => error as { readonly stdout: string }); // it fails where it found something
  return JSON.parse(stdout) as VerifyReport;
};
