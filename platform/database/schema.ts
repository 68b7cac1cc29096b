import type { Generated } from 'kysely';

/**
 * The tables of the control process, as Kysely sees them. All times are Unix milliseconds; booleans are 0 or 1 (SQLite has no other);
 * a column called JSON holds text written by `JSON.stringify`. `migrations/` makes them, in this shape.
 *
 * One schema for SQLite and PostgreSQL. A migration is `migration((d) => [statements])` of `dialect.ts` and takes the types of its columns
 * from `d` (`${d.integer}`, `${d.real}`, `${d.text}`, `${d.identity}`); what the databases have no common word for it decides by `d.name`.
 * Queries are written for both; where they cannot be, `dialectOf(db)` tells. PostgreSQL refuses what SQLite takes: `1.5` for an `integer`,
 * a text with a zero in it; and it may have several control processes: whoever reads rows to decide what to write locks them
 * (`dialectOf(db).shared`, `forUpdate`) or holds the decision alone (`holdAlone`).
 *
 * Recordings, sessions and detections refer to cameras by id only, without a foreign key: they outlive a deleted camera, and come back
 * from the edge's files after the database is lost.
 */
export interface CamerasTable {
  id: string;
  name: string;
  /** JSON, e.g. `{"type":"push"}`. */
  source: string;
  /** JSON array of pipeline and detector ids. */
  pipelines: string;
  /** JSON, e.g. `{"policy":"always"}`. */
  recording: string;
  created_at: number;
  updated_at: number;
  deleted_at: number | null;
  /** JSON object of what was set of `qos` and `priority`. */
  extra: string;
  /** Whether it is shown live; setting the camera anew does not touch it. */
  distribution: Generated<'on' | 'off'>;
}

export interface CameraKeysTable {
  id: string;
  camera_id: string;
  kind: 'publish' | 'view';
  /** SHA-256 of the key, hex. */
  hash: string;
  /** MD5(camera:realm:key), hex: RTSP Digest. */
  ha1: string;
  created_at: number;
  revoked_at: number | null;
}

export interface UsersTable {
  id: string;
  username: string;
  password_hash: string;
  role: string;
  created_at: number;
  disabled_at: number | null;
}

export interface RefreshTokensTable {
  id: string;
  /** All tokens that came from one log-in; a reused one revokes its family. */
  family: string;
  user_id: string;
  hash: string;
  expires_at: number;
  used_at: number | null;
  revoked_at: number | null;
}

export interface RevokedTokensTable {
  jti: string;
  expires_at: number;
}

export interface SigningKeysTable {
  kid: string;
  /** JSON Web Key. */
  private_jwk: string;
  /** JSON Web Key. */
  public_jwk: string;
  created_at: number;
  retired_at: number | null;
}

export interface AuditTable {
  id: Generated<number>;
  at: number;
  principal: string | null;
  action: string;
  target: string | null;
  result: string;
  /** JSON or null. */
  detail: string | null;
}

/** One row per edge journal; `last_seq` is written in the transaction of the rows it stands for (D-10). */
export interface EdgesTable {
  journal_id: string;
  edge_id: string;
  last_seq: number;
  media_base_url: string;
  seen_at: number;
}

export interface SessionsTable {
  id: string;
  camera_id: string;
  phase: 'connecting' | 'live' | 'interrupted' | 'ended';
  protocol: string;
  started_at: number;
  ended_at: number | null;
  reason: string | null;
  epoch: number | null;
}

export interface SegmentsTable {
  /** `SegmentRecord.id`. */
  id: string;
  camera_id: string;
  session_id: string;
  epoch: number;
  start_ms: number;
  end_ms: number;
  bytes: number;
  sha256: string | null;
  open: 0 | 1;
  /** JSON array of `SegmentTrack`. */
  tracks: string;
  gap_before: number | null;
  /** `GapCause`; null where nothing is missing or it was not told. */
  gap_cause: string | null;
  /** Set when retention gave it up: gone from lists, and the row itself a week later. Never of a segment that is in the archive. */
  expired_at: number | null;
  /** Of the camera's segment before it, hex: a chain that shows what was taken out or put in between. Null: the first, the one before was not closed yet, or of an older version. */
  prev_sha256: string | null;
  /** Whether the edge still has the file. 0 with `archived_at`: it is read from the archive. */
  local: Generated<0 | 1>;
  /** When the object store had acknowledged the whole of it; null: it is not in the archive. */
  archived_at: number | null;
  /** Of an archived one: since when no mark has wanted it there; null: one does. */
  unmarked_at: number | null;
}

/** What somebody or a policy says of a range of a camera's recordings (ADR 4). */
export interface MarksTable {
  id: string;
  camera_id: string;
  from_ms: number;
  to_ms: number;
  /** `pin`: keep it. `link`: it shows a product, an inspection or a work order. `clip`: an event with what came before and after. */
  kind: 'pin' | 'link' | 'clip';
  /** 1: goes to the archive, and is kept on disk until it is there. 0: is kept on disk. */
  archive: 0 | 1;
  title: string | null;
  note: string | null;
  product_id: string | null;
  inspection_id: string | null;
  work_order_id: string | null;
  instruction_id: string | null;
  product_type: string | null;
  machine_number: string | null;
  /** `YYYY-MM-DD`. */
  production_date: string | null;
  monthly_sequence: number | null;
  /** OK, NG, … */
  inspection_result: string | null;
  created_at: number;
  /** User name, or the policy that made it. */
  created_by: string | null;
  /** Unique, and in the order of `from_ms`: see `control-api/marks/order.ts`. */
  seq: number;
}

export interface MarkTagsTable {
  mark_id: string;
  tag: string;
  /** The mark's. */
  seq: number;
}

/** Single facts of the installation, each a JSON value. */
export interface SettingsTable {
  key: string;
  value: string;
}

/** A stretch of time in which a camera saw a class again and again; a summary of detections of one source, which searches read in their place. */
export interface SightingsTable {
  camera_id: string;
  class_name: string;
  first_ms: number;
  last_ms: number;
  /** Detections. */
  count: number;
  /** The most in one picture. */
  at_once: number;
  max_confidence: number;
  /** The model whose analyses of recordings found it; empty: it was seen live, by whichever model. */
  analysed_by: Generated<string>;
}

export interface DetectionsTable {
  id: Generated<number>;
  camera_id: string;
  stream_epoch: number;
  rtp_timestamp: number;
  captured_at_ms: number;
  sequence: number;
  class_name: string;
  class_id: number;
  confidence: number;
  x: number;
  y: number;
  width: number;
  height: number;
  track_id: string | null;
  model: string;
  model_digest: string;
  /** Of detections made on a recording; null: made live. */
  analysis_id: string | null;
}

/** A file made of a range of a camera's recordings, with boxes drawn into its pictures. */
export interface ExportsTable {
  id: string;
  camera_id: string;
  from_ms: number;
  to_ms: number;
  /** Whose boxes; null: what was detected live. */
  analysis_id: string | null;
  state: 'queued' | 'running' | 'done' | 'failed' | 'cancelled';
  /** 0..1 */
  progress: number;
  pictures: number;
  /** Pictures that could not be decoded. */
  undecodable: number;
  /** Segments whose files had gone. */
  missing_segments: number;
  boxes: number;
  /** Of the file; null while there is none. */
  bytes: number | null;
  error: string | null;
  /** While it runs: when its process last said so. */
  heartbeat_at: number | null;
  created_at: number;
  created_by: string | null;
  finished_at: number | null;
}

/** Detectors run on a range of a camera's recordings. */
export interface AnalysesTable {
  id: string;
  camera_id: string;
  from_ms: number;
  to_ms: number;
  /** Pictures a second of media time. */
  fps: number;
  /** JSON array of `{id, model, confidence}`. */
  detectors: string;
  state: 'queued' | 'running' | 'done' | 'failed' | 'cancelled';
  /** Everything before is done. */
  position_ms: number;
  /** The segment looked at last: while it is open it grows, and only what is behind `position_ms` is new. */
  position_segment: string | null;
  pictures: number;
  /** Pictures that could not be decoded. */
  undecodable: number;
  /** Segments whose files had gone. */
  missing_segments: number;
  detections: number;
  /** JSON array of the class names that count as defects; empty: nothing was said, and there is no score. */
  defect_classes: Generated<string>;
  /** Pictures in which one of these was found. */
  defect_pictures: Generated<number>;
  /** Of an analysis that is done; null: no classes were named. */
  defect_count: number | null;
  /** 0..1, likewise. */
  quality_score: number | null;
  error: string | null;
  /** While it runs: when its process last said so. */
  heartbeat_at: number | null;
  created_at: number;
  created_by: string | null;
  /** When a process first worked on it. */
  started_at: number | null;
  finished_at: number | null;
}

/** Single pictures of recordings that go to the object store (SD-51). */
export interface FramesTable {
  id: string;
  camera_id: string;
  captured_at_ms: number;
  /** `detected`: by the camera's rule; `manual`: somebody asked. */
  reason: 'detected' | 'manual';
  /** JSON array of the class names that chose it. */
  classes: string;
  /** `made`: its JPEG is on this machine's disk. */
  state: 'waiting' | 'made' | 'stored' | 'failed';
  /** Of the JPEG; the JSON beside it ends in `.json`. One row for each. */
  object_key: string;
  width: number | null;
  height: number | null;
  bytes: number | null;
  /** Of the JPEG, hex. */
  sha256: string | null;
  error: string | null;
  created_at: number;
  created_by: string | null;
  stored_at: number | null;
}

/** What happened, for others to read in order: an outbox. Its `id` rises in the order in which rows become visible. */
export interface EventsTable {
  id: Generated<number>;
  topic: string;
  /** Null: of no single camera. */
  camera_id: string | null;
  at_ms: number;
  /** JSON object, as the topic's schema has it. */
  body: string;
}

export interface EventTopicsTable {
  topic: string;
  /** Events up to this `id` have been deleted by their age or number. */
  deleted_through: number;
}

export interface WebhooksTable {
  /** SHA-256 of its address, hex. */
  webhook: string;
  /** The control process that tells it, until then (Unix ms). */
  owner: string;
  owned_until: number;
}

export interface WebhookPositionsTable {
  webhook: string;
  topic: string;
  /** The last event told or passed over. */
  last_id: number;
}

export interface OpenRulesTable {
  occurrence_id: string;
  /** JSON of its RuleFinding of phase `began`. */
  finding: string;
}

export interface AlarmsTable {
  id: string;
  camera_id: string | null;
  code: string;
  message: string;
  raised: 0 | 1;
  at: number;
}

export interface Database {
  cameras: CamerasTable;
  camera_keys: CameraKeysTable;
  users: UsersTable;
  refresh_tokens: RefreshTokensTable;
  revoked_tokens: RevokedTokensTable;
  signing_keys: SigningKeysTable;
  audit: AuditTable;
  edges: EdgesTable;
  sessions: SessionsTable;
  segments: SegmentsTable;
  marks: MarksTable;
  mark_tags: MarkTagsTable;
  settings: SettingsTable;
  detections: DetectionsTable;
  sightings: SightingsTable;
  analyses: AnalysesTable;
  frames: FramesTable;
  exports: ExportsTable;
  alarms: AlarmsTable;
  events: EventsTable;
  event_topics: EventTopicsTable;
  webhooks: WebhooksTable;
  webhook_positions: WebhookPositionsTable;
  open_rules: OpenRulesTable;
}
