/** A detector's scene while somebody edits it: zones, lines and rules, in the words of the REST API. Pure. */

export type Point = readonly [number, number];

export interface Zone {
  readonly id: string;
  readonly polygon: readonly Point[];
}

export interface Line {
  readonly id: string;
  readonly from: Point;
  readonly to: Point;
}

interface RuleOf<T extends string> {
  readonly type: T;
  readonly id: string;
  readonly classes: readonly string[];
  readonly min_confidence: number;
  readonly clip?: { readonly pre_seconds: number; readonly post_seconds: number } | undefined;
}
export interface CountRule extends RuleOf<'count'> { readonly zone?: string | undefined; readonly at_least: number; readonly for_seconds: number; readonly clear_seconds: number }
export interface DwellRule extends RuleOf<'dwell'> { readonly zone?: string | undefined; readonly for_seconds: number; readonly clear_seconds: number }
export interface CrossRule extends RuleOf<'cross'> { readonly line: string; readonly direction: 'both' | 'to_left' | 'to_right' }
export type Rule = CountRule | DwellRule | CrossRule;

export interface Scene {
  readonly classes: readonly string[];
  readonly zones: readonly Zone[];
  readonly zones_only: boolean;
  readonly anchor: 'foot' | 'centre';
  readonly lines: readonly Line[];
  readonly rules: readonly Rule[];
}

/** A camera's detector as the API gives it. */
export type Pipeline = string | ({ readonly id: string; readonly light?: readonly string[] } & Partial<Scene>);

const NO_SCENE: Scene = { classes: [], zones: [], zones_only: false, anchor: 'foot', lines: [], rules: [] };

export const pipelineId = (pipeline: Pipeline): string => (typeof pipeline === 'string' ? pipeline : pipeline.id);

export const sceneOf = (pipeline: Pipeline): Scene => (typeof pipeline === 'string' ? NO_SCENE : {
  classes: pipeline.classes ?? [], zones: pipeline.zones ?? [], zones_only: pipeline.zones_only ?? false, anchor: pipeline.anchor ?? 'foot', lines: pipeline.lines ?? [], rules: pipeline.rules ?? [],
});

/** The pipelines with the scene of one replaced; what its object says beside stays. Without a zone there is nothing that `zones_only` could leave. */
export const withScene = (pipelines: readonly Pipeline[], id: string, scene: Scene): readonly Pipeline[] =>
  pipelines.map((pipeline) => (pipelineId(pipeline) === id ? { ...(typeof pipeline === 'string' ? { id: pipeline } : pipeline), ...scene, zones_only: scene.zones_only && scene.zones.length > 0 } : pipeline));

/** `name`, or with a number behind it where it is taken. */
export const freeName = (name: string, taken: readonly string[]): string => {
  for (let n = 1; ; n++) {
    const candidate = n === 1 ? name : `${name} ${String(n)}`;
    if (!taken.includes(candidate)) return candidate;
  }
};

const clamp = (value: number): number => Math.round(Math.min(1, Math.max(0, value)) * 10_000) / 10_000;
export const clamped = ([x, y]: Point): Point => [clamp(x), clamp(y)];

export const addZone = (scene: Scene): Scene => ({ ...scene, zones: [...scene.zones, { id: freeName('Zone', scene.zones.map(({ id }) => id)), polygon: [[0.3, 0.3], [0.7, 0.3], [0.7, 0.7], [0.3, 0.7]] }] });
export const addLine = (scene: Scene): Scene => ({ ...scene, lines: [...scene.lines, { id: freeName('Line', scene.lines.map(({ id }) => id)), from: [0.3, 0.5], to: [0.7, 0.5] }] });

const replaced = <T extends { readonly id: string }>(all: readonly T[], id: string, change: (one: T) => T): readonly T[] => all.map((one) => (one.id === id ? change(one) : one));

export const moveCorner = (scene: Scene, zone: string, corner: number, to: Point): Scene =>
  ({ ...scene, zones: replaced(scene.zones, zone, (one) => ({ ...one, polygon: one.polygon.map((point, i) => (i === corner ? clamped(to) : point)) })) });
/** A new corner behind the one of this number. */
export const insertCorner = (scene: Scene, zone: string, behind: number, at: Point): Scene =>
  ({ ...scene, zones: replaced(scene.zones, zone, (one) => ({ ...one, polygon: [...one.polygon.slice(0, behind + 1), clamped(at), ...one.polygon.slice(behind + 1)] })) });
/** A triangle keeps its corners. */
export const removeCorner = (scene: Scene, zone: string, corner: number): Scene =>
  ({ ...scene, zones: replaced(scene.zones, zone, (one) => (one.polygon.length <= 3 ? one : { ...one, polygon: one.polygon.filter((_, i) => i !== corner) })) });
export const moveEnd = (scene: Scene, line: string, end: 'from' | 'to', to: Point): Scene => ({ ...scene, lines: replaced(scene.lines, line, (one) => ({ ...one, [end]: clamped(to) })) });
/** What was on the left is on the right. */
export const turnLine = (scene: Scene, line: string): Scene => ({ ...scene, lines: replaced(scene.lines, line, (one) => ({ ...one, from: one.to, to: one.from })) });

/** Rules follow. A name that is taken, or none, changes nothing. */
export const renameZone = (scene: Scene, id: string, name: string): Scene => {
  if (name === '' || scene.zones.some((zone) => zone.id === name)) return scene;
  return { ...scene, zones: replaced(scene.zones, id, (zone) => ({ ...zone, id: name })), rules: scene.rules.map((rule) => (rule.type !== 'cross' && rule.zone === id ? { ...rule, zone: name } : rule)) };
};
export const renameLine = (scene: Scene, id: string, name: string): Scene => {
  if (name === '' || scene.lines.some((line) => line.id === name)) return scene;
  return { ...scene, lines: replaced(scene.lines, id, (line) => ({ ...line, id: name })), rules: scene.rules.map((rule) => (rule.type === 'cross' && rule.line === id ? { ...rule, line: name } : rule)) };
};

/** With the rules that ask for it. */
export const removeZone = (scene: Scene, id: string): Scene => ({ ...scene, zones: scene.zones.filter((zone) => zone.id !== id), rules: scene.rules.filter((rule) => rule.type === 'cross' || rule.zone !== id) });
export const removeLine = (scene: Scene, id: string): Scene => ({ ...scene, lines: scene.lines.filter((line) => line.id !== id), rules: scene.rules.filter((rule) => rule.type !== 'cross' || rule.line !== id) });

export const addRule = (scene: Scene, type: Rule['type']): Scene => {
  const common = { id: freeName({ count: 'Count', dwell: 'Stay', cross: 'Crossing' }[type], scene.rules.map(({ id }) => id)), classes: [], min_confidence: 0 };
  const zone = scene.zones[0]?.id;
  const inZone = zone === undefined ? {} : { zone };
  const line = scene.lines[0]?.id;
  if (type === 'cross') return line === undefined ? scene : { ...scene, rules: [...scene.rules, { type, ...common, line, direction: 'both' }] };
  if (type === 'dwell') return { ...scene, rules: [...scene.rules, { type, ...common, ...inZone, for_seconds: 10, clear_seconds: 2 }] };
  return { ...scene, rules: [...scene.rules, { type, ...common, ...inZone, at_least: 1, for_seconds: 0, clear_seconds: 2 }] };
};
/** Takes the place of the rule of this number. */
export const setRule = (scene: Scene, at: number, rule: Rule): Scene => ({ ...scene, rules: scene.rules.map((one, i) => (i === at ? rule : one)) });
export const removeRule = (scene: Scene, at: number): Scene => ({ ...scene, rules: scene.rules.filter((_, i) => i !== at) });

/** `person, forklift` as a list. */
export const classesOf = (text: string): readonly string[] => [...new Set(text.split(',').map((name) => name.trim()).filter((name) => name !== ''))];
