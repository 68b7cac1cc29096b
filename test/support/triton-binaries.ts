/**
 * NVIDIA's Triton Inference Server for the tests, without a GPU: the program is in the Python package nvidia-pytriton (Apache-2.0), its
 * python backend runs ONNX files with onnxruntime. A virtual environment, made once (half a minute, 370 MB), in the user's cache folder.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runTool, toolCache } from './python-venv.ts';

const VERSION = '0.7.0';
const PACKAGES = ['onnxruntime==1.31.1', 'numpy==1.26.4'];
/** Of Debian 12. The package has backends for others, too. */
const PYTHON = '3.11';
const CACHE = toolCache('triton');

/** The environment of an installed Triton. */
export const TRITON = join(CACHE, VERSION);
const SITE = join('lib', `python${PYTHON}`, 'site-packages');

/** Where the parts of the server are, once `installTriton` has run. */
export const tritonPaths = (root = TRITON): { readonly site: string; readonly server: string; readonly program: string; readonly backends: string; readonly bin: string } => {
  const site = join(root, SITE);
  const server = join(site, 'pytriton', 'tritonserver');
  return { site, server, program: join(server, 'bin', 'tritonserver'), backends: join(server, 'backends'), bin: join(root, 'bin') };
};

/** Installs what is missing. Throws when it cannot be had. */
export const installTriton = (): void => {
  if (existsSync(TRITON)) return;
  console.error('installing the Triton server for the tests (once)');
  mkdirSync(CACHE, { recursive: true });
  for (const entry of readdirSync(CACHE)) if (entry.startsWith('work-')) rmSync(join(CACHE, entry), { recursive: true, force: true }); // broken off
  const work = join(CACHE, `work-${process.pid}`);
  runTool(`python${PYTHON}`, ['-m', 'venv', work]);
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-cache-dir'];
  const python = join(work, 'bin', 'python');
  runTool(python, [...pip, ...PACKAGES]);
  // Without what only its Python API needs.
  runTool(python, [...pip, '--no-deps', `nvidia-pytriton==${VERSION}`]);
  const { server, backends } = tritonPaths(work);
  copyFileSync(join(server, 'python_backend_stubs', PYTHON, 'triton_python_backend_stub'), join(backends, 'python', 'triton_python_backend_stub'));
  renameSync(work, TRITON);
};
