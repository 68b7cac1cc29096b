import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import type { Config } from '../config/schema.ts';
import { isUnixAddress } from './grpc/channel-options.ts';

/** `sun_path` holds 108 bytes on Linux and 104 elsewhere, with the final zero; some headroom (D-17). */
const MAX_SOCKET_PATH_BYTES = 100;

/**
 * A short folder for Unix sockets, the same for every process that serves `dataDir`; made with mode 0700 if missing. Below
 * `XDG_RUNTIME_DIR` if there is one, else below the temporary folder. Throws when someone else owns it or others may enter it.
 */
export const runtimeDirectory = (dataDir: string, env: NodeJS.ProcessEnv = process.env): string => {
  const name = `imageflow-${createHash('sha256').update(resolve(dataDir)).digest('hex').slice(0, 10)}`;
  const xdg = env['XDG_RUNTIME_DIR'];
  const uid = userInfo().uid;
  const base = xdg !== undefined && xdg !== '' && isWritableFolder(xdg) ? join(xdg, name) : join(tmpdir(), `${name}-${uid}`);
  mkdirSync(base, { recursive: true, mode: 0o700 });
  const found = lstatSync(base);
  // Windows knows neither owner nor mode.
  if (process.platform !== 'win32' && (!found.isDirectory() || found.uid !== uid || (found.mode & 0o077) !== 0)) {
    throw new Error(`${base} must be a folder of this user alone (mode 0700): remove it, or set XDG_RUNTIME_DIR to a private folder`);
  }
  return base;
};

const isWritableFolder = (path: string): boolean => {
  try {
    return lstatSync(path).isDirectory();
  } catch {
    return false;
  }
};

/** `unix:{directory}/{name}.sock`. Throws when the path is too long for a socket. */
export const socketAddress = (directory: string, name: string): string => {
  const path = join(directory, `${name}.sock`);
  if (Buffer.byteLength(path) >= MAX_SOCKET_PATH_BYTES) throw new Error(`${path} is too long for a Unix socket: set XDG_RUNTIME_DIR or TMPDIR to a shorter folder`);
  return `unix:${path}`;
};

/** What is shown to, and asked for at, an internal listener: the token, but nothing at a Unix socket, which only its owner can open (D-17). */
export const internalToken = (config: Config, address: string): { readonly token?: string } => {
  const token = config.control.internal_token;
  return isUnixAddress(address) || token === undefined ? {} : { token };
};

/** Where the processes of this machine meet: `control.internal_listen` and `worker.listen`, or Unix sockets. */
export const internalAddresses = (config: Config, env?: NodeJS.ProcessEnv): { readonly control: string; readonly worker: string } => {
  const address = (name: string, configured: string | undefined): string => configured ?? socketAddress(runtimeDirectory(config.data_dir, env), name);
  return { control: address('control', config.control.internal_listen), worker: address('worker', config.worker.listen) };
};
