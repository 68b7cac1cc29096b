import type { Kysely } from 'kysely';
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Database } from '../../platform/database/schema.ts';
import type { Logger } from '../../platform/logging.ts';
import { settingsOf } from '../cameras/service.ts';
import type { CameraService, OnEvent, RuleClip } from '../cameras/service.ts';
import type { DesiredStateSource } from '../desired-state/service.ts';
import type { MarkService } from '../marks/service.ts';
import { LONGEST_CLIP } from './clip-growth.ts';
import { GrowingClips } from './growing-clips.ts';
import { recentFindings, recentPictures } from './recent.ts';

/** One model's word on one picture, as much of it as matters here. */
export interface SeenPicture {
  readonly camera: string;
  /** Unix ms. */
  readonly capturedAt: Milliseconds;
  readonly detections: readonly { readonly className: string; readonly confidence: number }[];
}

/** What a rule of a camera's scene said, as much of it as matters here. */
export interface SaidByRule {
  readonly camera: string;
  readonly detector: string;
  readonly rule: string;
  /** Unix ms */
  readonly from: Milliseconds;
  readonly to: Milliseconds;
  readonly classes: readonly string[];
}

/** So long after its start a process looks for what its predecessor was killed before: by then the other ones have made the clips of theirs. */
const LOOK_BACK_AFTER: Milliseconds = 5_000;
/** How far back: longer than a restart takes, so short that hardly anybody has taken a clip away since. */
const LOOK_BACK: Milliseconds = 120_000;
/** Of one camera in that time: the newest. */
const MOST_CLIPS = 200;

export interface EventClipsDeps {
  readonly db: Kysely<Database>;
  readonly cameras: CameraService;
  readonly marks: MarkService;
  /** Changes whenever a camera does, also when another control process changed it. */
  readonly desired: Pick<DesiredStateSource, 'onChange'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What of a camera becomes clips. */
interface Policy {
  readonly detected: OnEvent | undefined;
  /** By detector and rule, JSON. */
  readonly rules: ReadonlyMap<string, RuleClip>;
}

/** `created_by` of clips. */
const BY_POLICY = 'policy: detected';
const byRule = (detector: string, rule: string): string => `rule: ${detector}/${rule}`;

const ruleKey = (detector: string, rule: string): string => JSON.stringify([detector, rule]);

/**
 * Makes clips, with what came before and after, of what a camera's `recording.on_event.detected` calls an event, and of what rules with a `clip` say.
 * Takes what was committed to the database; never holds it up.
 */
export class EventClips implements AsyncDisposable {
  readonly #deps: EventClipsDeps;
  readonly #stack = new DisposableStack();
  readonly #clips: GrowingClips;
  #policies: ReadonlyMap<string, Policy> = new Map();

  constructor(deps: EventClipsDeps) {
    this.#deps = deps;
    this.#clips = new GrowingClips(deps);
  }

  /** Reads the cameras' policies and follows them. */
  async start(): Promise<void> {
    await this.#readPolicies();
    const started = this.#deps.clock.now();
    this.#stack.use(this.#deps.clock.after(LOOK_BACK_AFTER, () => {
      this.#lookBack(started).catch((error: unknown) => { this.#deps.logger.error({ error: messageOf(error) }, 'what was seen just before the start was not looked for; some of it may have no clip'); });
    }));
    this.#stack.use(this.#deps.cameras.onChange(() => this.#readPolicies()));
    this.#stack.use(this.#deps.desired.onChange(() => {
      this.#readPolicies().catch((error: unknown) => { this.#deps.logger.error({ error: messageOf(error) }, 'what counts as an event was not read'); });
    }));
  }

  /** Looks for events. Pictures of cameras without a policy cost a look into a map. */
  observe(pictures: readonly SeenPicture[]): void {
    for (const { camera, capturedAt, detections } of pictures) {
      const policy = this.#policies.get(camera)?.detected;
      if (policy === undefined) continue;
      const classes = detections.filter((seen) => policy.detected.some(({ class_name, min_confidence }) => seen.className === class_name && seen.confidence >= min_confidence)).map(({ className }) => className);
      if (classes.length === 0) continue;
      this.#clips.add({ camera, by: BY_POLICY, title: 'Seen', first: capturedAt, last: capturedAt, tags: new Set(classes), roll: policy });
    }
  }

  /** What goes on for longer than a clip may be is shown where it begins and where it ends. */
  observeRules(said: readonly SaidByRule[]): void {
    for (const { camera, detector, rule, from, to, classes } of said) {
      const roll = this.#policies.get(camera)?.rules.get(ruleKey(detector, rule));
      if (roll === undefined) continue;
      const whole = to - from + (roll.pre_seconds + roll.post_seconds) * 1000 <= LONGEST_CLIP;
      this.#clips.add({ camera, by: byRule(detector, rule), title: 'Rule', first: whole ? from : to, last: to, tags: new Set([rule, ...classes]), roll });
    }
  }

  /** Writes what is pending. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stack.dispose();
    await this.#clips[Symbol.asyncDispose]();
  }

  /** Once more what was captured in the time before `started`, as far as it is in no clip. */
  async #lookBack(started: Milliseconds): Promise<void> {
    const { db } = this.#deps;
    const from = started - LOOK_BACK;
    for (const [camera, { detected }] of this.#policies) {
      if (detected === undefined) continue;
      const pictures = await recentPictures(db, camera, detected.detected.map(({ class_name }) => class_name), Math.min(...detected.detected.map(({ min_confidence }) => min_confidence)), from, started);
      if (pictures.length === 0) continue;
      const clips = await this.#clipsOf(camera, from, started);
      this.observe(pictures.filter(({ capturedAt }) => !clips.some((clip) => clip.by === BY_POLICY && clip.from <= capturedAt && capturedAt < clip.to)));
    }
    if (![...this.#policies.values()].some(({ rules }) => rules.size > 0)) return;
    const findings = Map.groupBy(await recentFindings(db, from, started), ({ camera }) => camera);
    for (const [camera, said] of findings) {
      const clips = await this.#clipsOf(camera, Math.min(...said.map((each) => each.from)), started);
      this.observeRules(said.filter(({ detector, rule, to }) => !clips.some((clip) => clip.by === byRule(detector, rule) && clip.from <= to && to < clip.to)));
    }
  }

  async #clipsOf(camera: string, from: Milliseconds, to: Milliseconds): Promise<readonly { readonly by: string | null; readonly from: Milliseconds; readonly to: Milliseconds }[]> {
    const marks = await this.#deps.marks.list({ cameras: [camera], kinds: ['clip'], from, to }, undefined, MOST_CLIPS);
    return marks.map(({ created_by: by, from_ms, to_ms }) => ({ by, from: from_ms, to: to_ms }));
  }

  async #readPolicies(): Promise<void> {
    const policies = new Map<string, Policy>();
    for (const row of await this.#deps.cameras.all()) {
      const { recording: { on_event: onEvent }, pipelines } = settingsOf(row);
      const rules = new Map(pipelines.flatMap((pipeline) => (typeof pipeline === 'string' ? [] : (pipeline.rules ?? []).flatMap(({ id, clip }): readonly (readonly [string, RuleClip])[] => (clip ? [[ruleKey(pipeline.id, id), clip]] : [])))));
      const detected = onEvent !== undefined && onEvent.detected.length > 0 ? onEvent : undefined;
      if (detected !== undefined || rules.size > 0) policies.set(row.id, { detected, rules });
    }
    this.#policies = policies;
  }
}
