/** The JSON of a detector's scene [INF-6]: which of what it finds counts, where, and what rules make of it. */
import { z } from '@hono/zod-openapi';
import { MediaError } from '../../core/errors.ts';
import type { Scene, SceneRule } from '../../media-control/port.ts';

const MAX_CORNERS = 32;
/** Of zones, lines and rules of one detector, each. */
const MAX_EACH = 16;
/** A polygon of less is a mistake: a share of the picture's area. */
const MIN_AREA = 0.0001;

const Id = z.string().normalize().trim().min(1).max(64).regex(/^[^\p{Cc}\p{Cs},]*$/u, 'must be one line of text without a comma');
const ClassName = z.string().min(1).max(128);
const Classes = z.array(ClassName).max(128);
const Share = z.number().min(0).max(1);
const Point = z.tuple([Share, Share]).openapi('ScenePoint', { description: "x and y as shares of the picture's width and height, from the top left.", example: [0.25, 0.8] });
type Point = z.output<typeof Point>;

/** By the shoelace formula. */
const areaOf = (polygon: readonly Point[]): number =>
  Math.abs(polygon.reduce((sum, [x, y], i) => {
    const [nextX, nextY] = polygon[(i + 1) % polygon.length] ?? [x, y];
    return sum + x * nextY - nextX * y;
  }, 0)) / 2;

const Zone = z
  .strictObject({ id: Id, polygon: z.array(Point).min(3).max(MAX_CORNERS).refine((polygon) => areaOf(polygon) >= MIN_AREA, 'must enclose an area, without crossing itself') })
  .openapi('SceneZone');
const Line = z
  .strictObject({ id: Id, from: Point, to: Point })
  .refine(({ from, to }) => Math.hypot(to[0] - from[0], to[1] - from[1]) >= 0.01, { path: ['to'], error: 'must not be where the line begins' })
  .openapi('SceneLine', { description: 'Who walks from `from` to `to` has the left and the right side on those hands.' });

const Seconds = z.number().min(0).max(3600);
const Roll = z.number().min(0).max(600).prefault(10);
const common = {
  id: Id, classes: Classes.prefault([]).describe('Empty: all.'), min_confidence: z.number().min(0).max(1).prefault(0),
  clip: z.strictObject({ pre_seconds: Roll, post_seconds: Roll }).optional().describe('What it tells of becomes a clip of the recording, with so much before and after; absent: none.'),
};
const ruleZone = Id.optional().describe('Absent: the whole picture.');
const clear = Seconds.prefault(2).describe('It has ended when it was not so for this long.');

const Rule = z
  .discriminatedUnion('type', [
    z.strictObject({ type: z.literal('count'), ...common, zone: ruleZone, at_least: z.int().min(1).max(1000).prefault(1), for_seconds: Seconds.prefault(0), clear_seconds: clear }).describe('So many objects are there for so long.'),
    z.strictObject({ type: z.literal('dwell'), ...common, zone: ruleZone, for_seconds: Seconds, clear_seconds: clear }).describe('One object stays for so long.'),
    z.strictObject({ type: z.literal('cross'), ...common, line: Id, direction: z.enum(['both', 'to_left', 'to_right']).prefault('both') }).describe('An object crosses a line.'),
  ])
  .openapi('SceneRule', { description: 'What it says is told on the topic `video-analysis-events`.' });
type Rule = z.output<typeof Rule>;

/** Members of a detector of a camera. */
export const SCENE = {
  classes: Classes.optional().describe('Objects of other classes are told to nobody, and not stored. Absent or empty: all are.'),
  zones: z.array(Zone).max(MAX_EACH).optional(),
  zones_only: z.boolean().optional().describe('Objects outside of all zones are told to nobody, and not stored.'),
  anchor: z.enum(['foot', 'centre']).optional().describe("Where an object is: in the middle of its box's lower edge (the default; what stands on the ground), or in the box's centre."),
  lines: z.array(Line).max(MAX_EACH).optional(),
  rules: z.array(Rule).max(MAX_EACH).optional(),
};
export type SceneOptions = z.output<z.ZodObject<typeof SCENE>>;

/** What of a rule's findings becomes clips. */
export type RuleClip = NonNullable<Rule['clip']>;

const refuse = (message: string, reason: string): never => {
  throw new MediaError('UNPROCESSABLE', message, { reason });
};

const twice = (ids: readonly string[]): string | undefined => ids.find((id, i) => ids.indexOf(id) !== i);

/** Throws UNPROCESSABLE for what contradicts itself: a name given twice, a rule of a zone or line there is none of, one that needs tracks without tracking. */
export const checkScene = (detector: string, { zones = [], lines = [], rules = [], zones_only: zonesOnly, tracking, fps }: SceneOptions & { readonly tracking?: boolean | undefined; readonly fps?: number | undefined }): void => {
  const double = twice(zones.map(({ id }) => id)) ?? twice(lines.map(({ id }) => id)) ?? twice(rules.map(({ id }) => id));
  if (double !== undefined) refuse(`${detector}: the name ${double} is given twice.`, 'DUPLICATE_SCENE_ID');
  if (zonesOnly === true && zones.length === 0) refuse(`${detector}: zones_only without a zone would tell of nothing.`, 'NO_ZONES');
  for (const rule of rules) {
    if (rule.type === 'cross' && !lines.some(({ id }) => id === rule.line)) refuse(`${detector}: the rule ${rule.id} asks for the line ${rule.line}, and there is none of that name.`, 'UNKNOWN_LINE');
    if (rule.type !== 'cross' && rule.zone !== undefined && !zones.some(({ id }) => id === rule.zone)) refuse(`${detector}: the rule ${rule.id} asks for the zone ${rule.zone}, and there is none of that name.`, 'UNKNOWN_ZONE');
    if (rule.type !== 'count' && tracking === false) refuse(`${detector}: the rule ${rule.id} must know objects again from picture to picture; leave tracking on.`, 'RULE_NEEDS_TRACKING');
    if (rule.type !== 'count' && fps !== undefined && fps < 1) refuse(`${detector}: the rule ${rule.id} must know objects again from picture to picture, which takes at least one a second.`, 'RULE_NEEDS_TRACKING');
  }
};

const ms = (seconds: number): number => Math.round(seconds * 1000);

const ruleOf = (rule: Rule): SceneRule => {
  const same = { id: rule.id, classes: rule.classes, minConfidence: rule.min_confidence };
  switch (rule.type) {
    case 'count':
      return { type: 'count', ...same, zone: rule.zone ?? null, atLeast: rule.at_least, forMs: ms(rule.for_seconds), clearMs: ms(rule.clear_seconds) };
    case 'dwell':
      return { type: 'dwell', ...same, zone: rule.zone ?? null, forMs: ms(rule.for_seconds), clearMs: ms(rule.clear_seconds) };
    case 'cross':
      return { type: 'cross', ...same, line: rule.line, direction: rule.direction };
  }
};

/** As the edge runs it; undefined when nothing is asked for. */
export const toScene = ({ classes = [], zones = [], zones_only: zonesOnly = false, anchor = 'foot', lines = [], rules = [] }: SceneOptions): Scene | undefined =>
  classes.length + zones.length + lines.length + rules.length === 0 ? undefined : { classes, zones, zonesOnly, anchor, lines, rules: rules.map(ruleOf) };
