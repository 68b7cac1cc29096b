/** media-control/: the edge's side of MediaControl. What the other edge modules may know of the control plane. */
import type { CodeFormat } from '../core/code-formats.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { DetectionResult } from '../core/detection.ts';
import type { SessionInfo } from '../ingest/port.ts';
import type { Milliseconds } from '../core/units.ts';
import type { SegmentRecord } from '../recorder/port.ts';

/** A detector to run on a camera, resolved by the control plane from the camera's `pipelines[]`. */
export interface DetectorSpec {
  /** The id the user wrote (`detect`, a model's name). */
  readonly id: string;
  readonly model: string;
  readonly fps: number;
  /** 0..1; null: the model's own default. */
  readonly confidence: number | null;
  /** Lighter models with the same classes that it may be lowered to under overload, the heaviest first; absent: none. */
  readonly light?: readonly string[];
  /** Objects are not followed from picture to picture; absent: they are. */
  readonly tracking?: false;
  /** Absent: everything it finds is told, and nothing more is made of it. */
  readonly scene?: Scene;
}

/** x, y as shares of the picture's width and height, 0..1, y downwards. */
export type ScenePoint = readonly [number, number];

/** Part of a picture: a polygon. */
export interface SceneZone {
  readonly id: string;
  readonly polygon: readonly ScenePoint[];
}

/** A stretch that objects may cross; who walks from `from` to `to` has `left` and `right` on the hands of those names. */
export interface SceneLine {
  readonly id: string;
  readonly from: ScenePoint;
  readonly to: ScenePoint;
}

interface RuleOf<T extends string> {
  readonly type: T;
  readonly id: string;
  /** Empty: all. */
  readonly classes: readonly string[];
  /** 0..1 */
  readonly minConfidence: number;
}

/** So many objects are in a zone for so long. */
export interface CountRule extends RuleOf<'count'> {
  /** Null: the whole picture. */
  readonly zone: string | null;
  readonly atLeast: number;
  readonly forMs: Milliseconds;
  /** It has ended when it was not so for this long. */
  readonly clearMs: Milliseconds;
}

/** One object stays in a zone for so long. */
export interface DwellRule extends RuleOf<'dwell'> {
  /** Null: the whole picture. */
  readonly zone: string | null;
  readonly forMs: Milliseconds;
  readonly clearMs: Milliseconds;
}

/** An object crosses a line. */
export interface CrossRule extends RuleOf<'cross'> {
  readonly line: string;
  readonly direction: 'both' | 'to_left' | 'to_right';
}

export type SceneRule = CountRule | DwellRule | CrossRule;

/** What is made of a detector's results [INF-6]. */
export interface Scene {
  /** Objects of other classes are not told; empty: all are. */
  readonly classes: readonly string[];
  /** Objects outside of all zones are not told. */
  readonly zonesOnly: boolean;
  /** Where an object is: in the middle of its box's lower edge (what stands on the ground), or in the box's centre. */
  readonly anchor: 'foot' | 'centre';
  readonly zones: readonly SceneZone[];
  readonly lines: readonly SceneLine[];
  readonly rules: readonly SceneRule[];
}

export type SourceSpec = { readonly type: 'push' } | { readonly type: 'file'; readonly url: string };

/** A camera as the edge needs it. */
export interface CameraSpec {
  readonly id: CameraId;
  readonly name: string;
  readonly source: SourceSpec;
  readonly detectors: readonly DetectorSpec[];
  /** What the policy and somebody's switch come to; within `hours`, where there are any. */
  readonly recording: 'always' | 'off';
  readonly hours?: RecordingHours;
  /** Upper bound of its detectors' pictures a second; absent: what they ask for. */
  readonly qos?: 'high' | 'medium' | 'low';
  /** 1..10, under overload the lowest give way first; absent: 5. */
  readonly priority?: number;
  /** Bits per second that a publisher may send and the way from it carries; absent: as the edge's configuration says. */
  readonly bandwidthHint?: number;
  /** Printed codes that are read in its pictures; absent: none. */
  readonly codes?: CodeReading;
  /** Shown to nobody live (SD-53); absent: shown. */
  readonly distribution?: 'off';
  /** Absent: `recorder.window_minutes` and no limit but that of all. */
  readonly window?: RecordingWindow;
}

/** QR and bar codes that are looked for in a camera's pictures [PRO-2]. */
export interface CodeReading {
  /** Pictures a second that are looked at. */
  readonly fps: number;
  readonly formats: readonly CodeFormat[];
  /** A code that stays in the picture is told once; again after it was away for so long. */
  readonly repeatMs: Milliseconds;
}

/** How much of a camera's recordings is kept where no mark asks for more. Null: as the edge's configuration says. */
export interface RecordingWindow {
  readonly minutes: number | null;
  readonly maxBytes: number | null;
}

/** Times of the week at which a camera is recorded. */
export interface RecordingHours {
  /** IANA name. */
  readonly timezone: string;
  readonly times: readonly WeeklyTime[];
}

export interface WeeklyTime {
  /** 0 = Sunday … 6 = Saturday: the day on which it begins. */
  readonly days: readonly number[];
  /** Minutes after local midnight; `to` at or before `from` is on the next day. */
  readonly from: number;
  readonly to: number;
}

/** A range of a camera's recordings that retention spares. Unix ms, [from, to). */
export interface KeptRange {
  readonly camera: CameraId;
  readonly from: Milliseconds;
  readonly to: Milliseconds;
}

/** Who shows a credential. `id` is what is revoked: a token's `jti`, a key's id. */
export type Principal =
  | { readonly kind: 'user'; readonly id: string; readonly username: string; readonly permissions: readonly string[]; readonly expiresAt: number }
  | { readonly kind: 'key'; readonly id: string; readonly camera: CameraId; readonly grants: 'publish' | 'view' };

export type MediaAction = 'publish' | 'play';

/** The one check that guards WHIP, WHEP, HLS, RTSP and the media WebSockets (spec 2.4). */
export interface Authorizer {
  /**
   * Who may do `action` on `camera` with this bearer credential (JWT access token or camera key).
   * Throws UNAUTHENTICATED (none, unknown, expired, revoked) or PERMISSION_DENIED.
   */
  authorize(credential: string | null, action: MediaAction, camera: CameraId): Promise<Principal>;
  /** RTSP Digest (opt-in): HA1 = MD5(camera:realm:key) of each key of the camera that grants `action`, hex. */
  digestHa1s(camera: CameraId, action: MediaAction): readonly { readonly keyId: string; readonly ha1: string }[];
  /** Called with a principal's id when it is revoked, so that open sessions of it can be closed within 1 s. */
  onRevoked(listener: (principalId: string) => void): Disposable;
}

/** Which cameras are shown live (SD-53): asked by whatever shows one to viewers. Recording and detection know nothing of it. */
export interface Distribution {
  isOff(camera: CameraId): boolean;
  /** Called with each camera that was switched off or on, so that who watches can be ended within 1 s. Disposing removes the listener. */
  onSwitched(listener: (camera: CameraId) => void): Disposable;
}

/** Finds or creates a camera (D-12). Resolves to undefined when there is none and the principal may not create it. Throws UNAVAILABLE when control is needed and down. */
export interface CameraResolver {
  resolve(camera: CameraId, credential: string | null): Promise<CameraSpec | undefined>;
}

/** What the edge tells the control plane, exactly once each, through the journal (D-10). */
export type EdgeEvent =
  /** The first of each edge process: what the one before it had not ended (sessions, alarms of a state) has ended. Unix ms. */
  | { readonly type: 'edge-started'; readonly at: number }
  | { readonly type: 'session'; readonly session: SessionInfo }
  | { readonly type: 'segment'; readonly segment: SegmentRecord }
  | { readonly type: 'segment-expired'; readonly id: string; readonly camera: CameraId }
  | { readonly type: 'detections'; readonly results: readonly DetectionResult[] }
  | { readonly type: 'alarm'; readonly alarm: Alarm }
  | { readonly type: 'rate-changed'; readonly change: RateChange }
  | { readonly type: 'height-changed'; readonly change: HeightChange }
  | { readonly type: 'rule'; readonly finding: RuleFinding }
  | { readonly type: 'code'; readonly seen: CodeSeen };

/** A rule of a camera's scene says that something began, ended or happened [INF-6]. */
export interface RuleFinding {
  /** The same when it begins and when it ends. */
  readonly id: string;
  readonly phase: 'began' | 'ended' | 'happened';
  readonly camera: CameraId;
  readonly detector: string;
  readonly model: string;
  readonly rule: string;
  readonly type: SceneRule['type'];
  /** Its zone or line; null: the whole picture. */
  readonly place: string | null;
  /** Unix ms: since when it is so, and up to when it was seen. */
  readonly from: Milliseconds;
  readonly to: Milliseconds;
  /** Objects: now, of `ended` the most in one picture. */
  readonly count: number;
  readonly classes: readonly string[];
  readonly tracks: readonly string[];
  readonly direction: 'to_left' | 'to_right' | null;
  /** The picture it was seen in first or, of `ended`, last. */
  readonly epoch: number;
  readonly rtpTs: number;
}

/** A printed code has come into a camera's picture [PRO-2]. */
export interface CodeSeen {
  readonly camera: CameraId;
  readonly format: CodeFormat;
  /** What it says; null: it holds no text, but `bytes`, in base64. */
  readonly text: string | null;
  readonly bytes: string | null;
  /** Top left, top right, bottom right, bottom left of the code as it was printed. */
  readonly corners: readonly ScenePoint[];
  /** Unix ms: since when it is to be seen, and of the picture it is told of. */
  readonly firstSeen: Milliseconds;
  readonly at: Milliseconds;
  /** That picture. */
  readonly epoch: number;
  readonly rtpTs: number;
  readonly seq: number;
}

/** A camera is detected at another rate, pictures a second of its fastest detector, or with other models. */
export interface RateChange {
  readonly camera: CameraId;
  /** Unix ms. */
  readonly at: Milliseconds;
  readonly from: number;
  readonly to: number;
  /** Without overload. */
  readonly full: number;
  /** Of each of its detectors: before, from now on, and without overload. */
  readonly models: readonly { readonly detector: string; readonly from: string; readonly to: string; readonly full: string }[];
  readonly cause: string;
}

/** A camera's pictures, and its video with boxes burned in, are shown at another height, pixels of the largest. */
export interface HeightChange {
  readonly camera: CameraId;
  /** Unix ms. */
  readonly at: Milliseconds;
  readonly from: number;
  readonly to: number;
  /** While the machine has time for all. */
  readonly full: number;
  readonly cause: string;
}

/** Something an operator should know; `raised: false` clears it. */
export interface Alarm {
  readonly id: string;
  readonly camera: CameraId | null;
  readonly code: string;
  readonly message: string;
  readonly raised: boolean;
  /** Unix ms. */
  readonly at: number;
}

export interface EventJournal {
  /**
   * Appends; durable within `flush` time, delivered at least once, written to the database exactly once. Never throws, never waits.
   * `later`: durable within a second, together with others; for what holds only for now, and is found out anew after a kill.
   */
  append(event: EdgeEvent, when?: 'now' | 'later'): void;
}
