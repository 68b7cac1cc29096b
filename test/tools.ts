/**
 * Makes sure that everything the tests drive is there: real browsers and real media tools. As root on Debian it installs what is
 * missing; elsewhere it names it and fails. Nothing is skipped in silence.
 */
import { spawnSync } from 'node:child_process';
import { installPythonWorker } from './support/python-worker.ts';
import { installS3 } from './support/s3-binaries.ts';
import { installTritonClient } from './support/triton-client.ts';
import { installTriton } from './support/triton-binaries.ts';

interface Tool {
  readonly name: string;
  readonly packages: readonly string[];
  readonly probe: readonly [string, ...string[]];
}

const TOOLS: readonly Tool[] = [
  { name: 'Chromium', packages: ['chromium'], probe: ['chromium', '--version', '--no-sandbox'] },
  { name: 'ffmpeg', packages: ['ffmpeg'], probe: ['ffmpeg', '-version'] },
  { name: 'unzip', packages: ['unzip'], probe: ['unzip', '-v'] },
  { name: 'OpenSSL', packages: ['openssl'], probe: ['openssl', 'version'] },
  {
    name: 'GStreamer with rtspclientsink and webrtcbin',
    packages: ['gstreamer1.0-tools', 'gstreamer1.0-plugins-base', 'gstreamer1.0-plugins-good', 'gstreamer1.0-plugins-bad', 'gstreamer1.0-plugins-ugly', 'gstreamer1.0-libav', 'gstreamer1.0-nice', 'gstreamer1.0-rtsp', 'gir1.2-gst-plugins-bad-1.0', 'python3-gst-1.0'],
    probe: ['sh', '-c', 'gst-inspect-1.0 rtspclientsink && gst-inspect-1.0 webrtcbin && gst-inspect-1.0 nicesink && /usr/bin/python3 -c "import gi; gi.require_version(\'GstWebRTC\', \'1.0\')"'],
  },
  { name: 'PostgreSQL', packages: ['postgresql'], probe: ['sh', '-c', 'ls /usr/lib/postgresql/*/bin/initdb'] },
  { name: 'libfaketime', packages: ['faketime'], probe: ['faketime', '-f', '+0', 'true'] },
  { name: 'bindfs', packages: ['bindfs'], probe: ['bindfs', '--version'] },
  { name: 'aiortc', packages: ['python3-aiortc', 'python3-aiohttp'], probe: ['/usr/bin/python3', '-c', 'import aiortc, aiohttp'] },
  { name: 'Python 3.11 for Triton', packages: ['python3.11-venv', 'libpython3.11'], probe: ['sh', '-c', 'python3.11 -m ensurepip --version && /sbin/ldconfig -p | grep -q libpython3.11.so.1.0'] },
];

const works = (tool: Tool): boolean => {
  const [command, ...args] = tool.probe;
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
};

const missing = TOOLS.filter((tool) => !works(tool));
if (missing.length > 0) {
  const packages = missing.flatMap((tool) => tool.packages);
  const install = `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  console.error(`missing for the tests: ${missing.map((tool) => tool.name).join(', ')}`);
  if (process.getuid?.() !== 0 || spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status !== 0) {
    console.error(`install them first, on Debian: sudo ${install}`);
    process.exit(1);
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  spawnSync('apt-get', ['update', '-qq'], { stdio: 'inherit', env });
  spawnSync('sh', ['-c', `${install} -qq > /dev/null`], { stdio: 'inherit', env });
  const still = missing.filter((tool) => !works(tool));
  if (still.length > 0) {
    console.error(`still missing after the installation: ${still.map((tool) => tool.name).join(', ')}`);
    process.exit(1);
  }
}

installS3();
installPythonWorker();
installTriton();
installTritonClient();
