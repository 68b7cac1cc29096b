import { fromJsonString, toJsonString } from '@bufbuild/protobuf';
import type { Transaction } from 'kysely';
import type { Database } from '../../platform/database/schema.ts';
import { RuleFindingSchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import type { RuleFinding } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import type { NewEvent } from '../events/service.ts';
import { ruleEvent } from './rule-event.ts';

/** Remembers what has begun until it ends. */
export const noteRule = async (tx: Transaction<Database>, finding: RuleFinding): Promise<void> => {
  if (finding.phase === 'began') {
    const row = { occurrence_id: finding.id, finding: toJsonString(RuleFindingSchema, finding) };
    await tx.insertInto('open_rules').values(row).onConflict((conflict) => conflict.column('occurrence_id').doUpdateSet({ finding: row.finding })).execute();
  } else if (finding.phase === 'ended') await tx.deleteFrom('open_rules').where('occurrence_id', '=', finding.id).execute();
};

/** The ends that an edge which was killed did not tell. Each has the times of its begin, for more is not known; it is told of when the next edge has begun, `at` (Unix ms). */
export const endOpenRules = async (tx: Transaction<Database>, at: number): Promise<readonly NewEvent[]> => {
  const open = await tx.deleteFrom('open_rules').returning('finding').execute();
  return open.map(({ finding }) => ({ ...ruleEvent({ ...fromJsonString(RuleFindingSchema, finding, { ignoreUnknownFields: true }), phase: 'ended' }), at: Math.round(at) }));
};
