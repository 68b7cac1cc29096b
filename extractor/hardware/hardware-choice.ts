/** Video codecs a decoder can be had for. */
export const CODECS = ['h264', 'h265', 'vp8', 'vp9', 'av1'] as const;
export type CodecName = (typeof CODECS)[number];

/** Kinds of devices, by FFmpeg's names. */
export const HARDWARE_TYPES = ['cuda', 'vaapi', 'qsv', 'videotoolbox'] as const;
export type HardwareType = (typeof HARDWARE_TYPES)[number];

/** `extractor.hardware`. */
export type HardwareMode = 'auto' | 'off' | HardwareType;

/** A device as FFmpeg opens it. */
export interface HardwareDeviceSpec {
  readonly type: HardwareType;
  /** Which of them; null: the first. */
  readonly device: string | null;
}

/** What of a machine tells which devices it may have. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  /** `/dev/dri/renderD…` (Linux). */
  readonly renderNodes: readonly string[];
  /** NVIDIA's driver is loaded (Linux). */
  readonly nvidia: boolean;
}

/** What became of trying a device. */
export interface ProbeVerdict {
  /** What it decodes as software does. */
  readonly decode: readonly CodecName[];
  /** It encodes H.264 as it is asked to. */
  readonly encode: boolean;
  /** Why not, by codec (`encode` for encoding), or of all under `device`. */
  readonly failures: Readonly<Record<string, string>>;
}

export interface ProbedDevice {
  readonly device: HardwareDeviceSpec;
  readonly verdict: ProbeVerdict;
}

/** What pictures are decoded and encoded on; what is not named, in software. */
export interface ChosenDevices {
  readonly decode: Readonly<Partial<Record<CodecName, HardwareDeviceSpec>>>;
  readonly encode: HardwareDeviceSpec | null;
}

export const IN_SOFTWARE: ChosenDevices = { decode: {}, encode: null };

/** How logs, statistics and pages name it. */
export const deviceName = ({ type, device }: HardwareDeviceSpec): string => (device === null ? type : `${type} ${device}`);

/** Of which platform a type is. */
const PLATFORMS: Readonly<Record<HardwareType, readonly NodeJS.Platform[]>> = { cuda: ['linux', 'win32'], vaapi: ['linux'], qsv: ['linux', 'win32'], videotoolbox: ['darwin'] };

/** Why trying a type is in vain from the start, in words for an operator; null: it is not. */
export const whyInVain = (type: HardwareType, { platform, renderNodes, nvidia }: Machine): string | null => {
  if (!PLATFORMS[type].includes(platform)) return `there is no ${type} on this operating system (${platform})`;
  if (platform !== 'linux') return null;
  if (type === 'cuda') return nvidia ? null : 'the driver of NVIDIA is not loaded (no /dev/nvidiactl)';
  return renderNodes.length > 0 ? null : 'there is no render node (/dev/dri/renderD…): no graphics driver, or a container that was given none';
};

const devicesOf = (type: HardwareType, { renderNodes }: Machine): readonly HardwareDeviceSpec[] =>
  (type === 'vaapi' && renderNodes.length > 0 ? renderNodes : [null]).map((device) => ({ type, device }));

/**
 * Devices to be tried, the preferred first: a graphics card that somebody put in before what is built into the processor; VAAPI, which reaches Intel's and AMD's,
 * before QSV, which holds pictures back. Only those there is a sign of.
 */
export const hardwareCandidates = (mode: HardwareMode, machine: Machine): readonly HardwareDeviceSpec[] =>
  typesOf(mode).filter((type) => whyInVain(type, machine) === null).flatMap((type) => devicesOf(type, machine));

const typesOf = (mode: HardwareMode): readonly HardwareType[] => {
  switch (mode) {
    case 'off': return [];
    case 'auto': return HARDWARE_TYPES;
    default: return [mode];
  }
};

/** The first device, in the order of the candidates, that passed for a codec, and for encoding. */
export const chooseDevices = (probed: readonly ProbedDevice[]): ChosenDevices => {
  const decode: Partial<Record<CodecName, HardwareDeviceSpec>> = {};
  for (const codec of CODECS) {
    const found = probed.find(({ verdict }) => verdict.decode.includes(codec));
    if (found) decode[codec] = found.device;
  }
  return { decode, encode: probed.find(({ verdict }) => verdict.encode)?.device ?? null };
};
