/** extractor/: Hub → decoded frames → detections. The edge's side; pixels never leave the child processes. */
import type { CodeFormat } from '../core/code-formats.ts';
import type { Detection, DetectionResult } from '../core/detection.ts';
import type { CameraId, FrameRef } from '../core/frame-ref.ts';
import type { Hub, Publishable } from '../core/hub.ts';
import type { MediaTicks, Milliseconds } from '../core/units.ts';
import type { StreamRegistry, WatchedStream } from '../ingest/port.ts';
import type { CodedPictures } from '../recorder/port.ts';
import type { DetectorFigures } from './detector-figures.ts';
import type { QosPreset } from './qos/demand.ts';
import type { HeightCause } from './qos/height-policy.ts';
import type { QosCause } from './qos/policy.ts';

export type { DetectorFigures } from './detector-figures.ts';
export { PICTURE_DEADLINE_MS, noCamera, noPicture, nobodyPublishes } from './picture-errors.ts';

export interface DetectionUnit extends Publishable {
  /** The id the camera's configuration names the detector by. */
  readonly detector: string;
  readonly result: DetectionResult;
}

export type SkipReason = 'fps' | 'no_credit' | 'superseded' | 'refreshed' | 'deadline' | 'late' | 'worker_lost' | 'refused' | 'decoder_error' | 'decoder_restart' | 'queue_full' | 'too_large';

/** A lighter model that a detector may be lowered to. */
export interface LighterModel {
  readonly model: string;
  /** `ready`: it can be; `not_ready`: no worker has it ready; `other_classes`: its class names are not those of the detector's own model, so it is not used; `failing`: it saw no picture when it was used, and is tried again in a minute. */
  readonly state: 'ready' | 'not_ready' | 'other_classes' | 'failing';
}

/** What a detector of a camera runs on. */
export interface RunningModel {
  readonly detector: string;
  readonly model: string;
  /** Its own, without overload. */
  readonly full: string;
  /** The heaviest first. */
  readonly light: readonly LighterModel[];
}

/** At which rate and on which models a camera's detectors run, and why [EXT-2]. */
export interface CameraQos {
  readonly preset: QosPreset;
  /** 1..10 */
  readonly priority: number;
  /** Pictures a second of its fastest detector now, and without overload. */
  readonly fps: number;
  readonly fullFps: number;
  /** Steps below what it would have without overload. */
  readonly level: number;
  readonly models: readonly RunningModel[];
  /** Of the last change, Unix ms and what made it; null: none since the camera came. */
  readonly since: Milliseconds | null;
  readonly cause: QosCause | null;
}

/** How large the pictures are that are shown of a camera all the time, and why [EXT-2]. */
export interface ShownHeight {
  /** Pixels of the largest of them now, and while the machine has time for all. */
  readonly height: number;
  readonly fullHeight: number;
  /** Of the last change, Unix ms and what made it; null: none since it is shown. */
  readonly since: Milliseconds | null;
  readonly cause: HeightCause | null;
}

/** A printed code as it was read last. */
export interface LastCode {
  readonly format: CodeFormat;
  /** Null: it holds no text. */
  readonly text: string | null;
  /** Of the last picture in which it was read, Unix ms. */
  readonly at: Milliseconds;
}

export interface ExtractorStats {
  readonly decodersActive: number;
  /** `software`, or the name of the device; null: there is no decoder. */
  readonly decoder: string | null;
  readonly decodedFrames: number;
  readonly inferredFrames: number;
  readonly skipped: Readonly<Partial<Record<SkipReason, number>>>;
  /** Those that run, by the id the camera's configuration names them by. */
  readonly detectors: Readonly<Record<string, DetectorFigures>>;
  /** Null: no detector of the camera runs now. */
  readonly qos: CameraQos | null;
  /** Null: nobody is shown its pictures, or its video with boxes burned in, all the time. */
  readonly shown: ShownHeight | null;
  /** Null: none since codes are read here, or none are. */
  readonly lastCode: LastCode | null;
}

export interface DetectionSource {
  /** Every result of the camera, of all its detectors. */
  detections(camera: CameraId): Hub<DetectionUnit>;
  stats(camera: CameraId): ExtractorStats | null;
}

export type PictureFormat = 'jpeg' | 'png' | 'webp';

/** How a picture is wanted. */
export interface PictureSpec {
  readonly format: PictureFormat;
  /** Pixels of the box the picture is made to fit in, with its own proportions; one of them null: the other decides; both: the camera's own size. It is never enlarged. */
  readonly width: number | null;
  readonly height: number | null;
  /** 1..100 of JPEG and WebP; PNG loses nothing, whatever it says. */
  readonly quality: number;
  /** With the boxes of what was detected drawn in. It then comes up to a quarter of a second later: it waits for the results of its frame. */
  readonly annotated: boolean;
}

/** Of which frame the boxes drawn into a picture are. */
export interface DrawnInto {
  /** exact: what was found in this very frame, nothing perhaps · held: some are of the last frame looked at before it · none: nothing is known of it. */
  readonly how: 'exact' | 'held' | 'none';
  /** How much older the frame is that they were found in, of several the oldest; 0 unless held. */
  readonly ageMs: Milliseconds;
}

/** A decoded picture of a live camera, encoded. Its bytes are shared by all who asked for such a one: nobody changes them. */
export interface LivePicture {
  readonly frame: FrameRef;
  /** Unix ms. */
  readonly capturedAt: Milliseconds;
  /** Presentation time since the begin of its epoch, in ticks of a millisecond. */
  readonly pts: MediaTicks;
  readonly format: PictureFormat;
  readonly width: number;
  readonly height: number;
  /** The size of the decoded picture, which boxes of detections refer to. */
  readonly sourceWidth: number;
  readonly sourceHeight: number;
  /** Null: nothing is drawn into it. */
  readonly drawn: DrawnInto | null;
  readonly bytes: Buffer;
}

/** Pictures of live cameras, from the decoder the detectors use; where there is none, one is started and ends some seconds after the last who wanted pictures. */
export interface PictureSource {
  /**
   * The newest decoded picture. Throws NOT_FOUND (no such camera), FAILED_PRECONDITION (nobody publishes it), UNAVAILABLE (nothing decoded in time, too many
   * ask), UNPROCESSABLE (it cannot be had in this format), and what `signal` is aborted with.
   */
  still(camera: CameraId, spec: PictureSpec, signal: AbortSignal): Promise<LivePicture>;
  /**
   * Hands pictures to `listener`, at most `fps` a second, until disposed of; also across sessions of the camera. Late pictures are left out. The listener must
   * not throw or wait. Throws NOT_FOUND, and UNAVAILABLE when the camera is watched in too many different kinds of pictures.
   */
  watch(camera: CameraId, spec: PictureSpec, fps: number, listener: (picture: LivePicture) => void): Disposable;
}

/**
 * Live video with boxes burned in. A camera's stream is listed from `hold` on, while it is held and for two seconds after that; only so long there is an encoder, one
 * for all. It has the source's sessions, epochs, times and FrameRefs, H.264 without B-frames, a random access picture every two seconds at least, and no sound.
 */
export interface AnnotatedSource extends StreamRegistry<WatchedStream> {
  /** Wants it until disposed of. Throws NOT_FOUND. */
  hold(camera: CameraId): Disposable;
  /**
   * The same; resolves when its tracks are known. Rejects with NOT_FOUND, FAILED_PRECONDITION (nobody publishes the camera), UNAVAILABLE (no picture in ten seconds,
   * too many wait), and what `signal` is aborted with.
   */
  summon(camera: CameraId, signal: AbortSignal): Promise<Disposable>;
}

/** A detector to run on recorded pictures. */
export interface RecordedDetector {
  readonly id: string;
  readonly model: string;
  /** 0..1; null: the model's own default. */
  readonly confidence: number | null;
}

/** One segment's round. */
export interface RecordedRound {
  readonly camera: string;
  readonly pictures: CodedPictures;
  readonly detectors: readonly RecordedDetector[];
  /** Pictures a second of media time that detectors see. */
  readonly fps: number;
  /** Only pictures captured in [from, to), Unix ms. */
  readonly from: Milliseconds;
  readonly to: Milliseconds;
}

export interface RoundOutcome {
  /** By picture, then in the order of the detectors: the same for the same pictures and models. */
  readonly results: readonly { readonly detector: string; readonly result: DetectionResult }[];
  /** Pictures looked at; pictures that could not be decoded, because they or those before them are damaged. */
  readonly shown: number;
  readonly undecodable: number;
  /** Pictures decoded, those between the ones looked at included: each once, whatever the number of detectors. */
  readonly decoded: number;
}

/** A picture that a client sends to be looked at, as it is encoded. */
export interface SentPicture {
  /** JPEG, PNG or WebP; nobody changes them before the answer. */
  readonly bytes: Uint8Array;
  readonly model: string;
  /** 0..1; null: the model's own default. */
  readonly confidence: number | null;
  /** It is wanted back with its boxes drawn in. */
  readonly annotated: boolean;
}

/** A sent picture has at most so many bytes, and so has one that goes back. */
export const MAX_SENT_PICTURE_BYTES = 8 << 20;

/** A sent picture with its boxes drawn in, of the format and size it came in; or why there is none. */
export type AnnotatedPicture = { readonly made: true; readonly bytes: Uint8Array } | { readonly made: false; readonly why: 'too_large' | 'failed' };

/** Why a sent picture has no detections. */
export type SentPictureFailure =
  | 'no_model' // no worker has a model of this name
  | 'model_not_ready' // it is loading, or has failed
  | 'refused' // the worker does not take the picture for this model
  | 'worker_lost' // no worker is connected, or the one that had it went away
  | 'deadline' // no answer in time
  | 'format' // none of JPEG, PNG and WebP, or a rare kind
  | 'too_large'
  | 'damaged'
  | 'decoder_lost' // the process that decodes ended meanwhile
  | 'stopping';

/** What became of a sent picture. */
export type SentPictureOutcome =
  | {
    readonly seen: true;
    /** Pixels as stored, which the boxes refer to. */
    readonly width: number;
    readonly height: number;
    readonly detections: readonly Detection[];
    readonly modelDigest: string;
    /** Null: nobody wants it. */
    readonly annotated: AnnotatedPicture | null;
    readonly times: SentPictureTimes;
  }
  | { readonly seen: false; readonly reason: SentPictureFailure; /** For whoever sent it. */ readonly detail: string };

/** A sent picture's way, milliseconds. */
export interface SentPictureTimes {
  /** From the receipt until its decoding began. */
  readonly waitingMs: number;
  readonly decodeMs: number;
  readonly resizeMs: number;
  /** Waiting for a worker, and in its queue. */
  readonly queueMs: number;
  /** In the model alone. */
  readonly inferenceMs: number;
  /** Drawing the boxes and encoding the picture again; 0 where nobody wants it. */
  readonly annotateMs: number;
}

/** Shows single pictures to the models of the workers. They are decoded in a process of its own. */
export interface SentPictureDetector {
  /** The process is there from now on, until all that hold it are disposed of; without this it starts with a picture. */
  hold(): Disposable;
  /** Never rejects, and is always answered: within the deadline and what decoding takes, or as `decoder_lost`. Pictures may be answered in any order. */
  detect(picture: SentPicture): Promise<SentPictureOutcome>;
}
