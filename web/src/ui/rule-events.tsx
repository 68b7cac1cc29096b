import { useEffect, useState } from 'preact/hooks';
import type { Camera, RuleEvent } from '../api.ts';
import { followRules } from '../live/rule-feed.ts';
import { ruleInWords, withEvent } from '../live/rule-words.ts';
import { pathTo } from '../recordings/link.ts';
import { amount, clock } from '../recordings/moments.ts';
import { linkTo } from '../router.ts';
import { sceneOf } from '../scene/draft.ts';
import { may } from '../session.ts';

const SHOWN = 8;
const AROUND_MS = 5_000;

/** Where somebody looks at what happened: from a little before it. */
const playbackOf = (camera: string, { from, to }: RuleEvent): string => pathTo(camera, { from: Date.parse(from) - AROUND_MS, to: Date.parse(to) + AROUND_MS });

/** What rules of a camera say while the page is open; nothing for a camera without rules. */
export const RuleEvents = (props: { camera: Camera }) => {
  const { camera } = props;
  const [events, setEvents] = useState<readonly RuleEvent[]>([]);
  const watched = camera.pipelines.some((pipeline) => sceneOf(pipeline).rules.length > 0) && may('detection:view');
  useEffect(() => {
    if (!watched) return;
    const feed = followRules(camera.id, (event) => { setEvents((before) => withEvent(before, event, SHOWN)); });
    return () => { feed[Symbol.dispose](); };
  }, [camera.id, watched]);
  if (!watched) return null;
  return (
    <section class="card rule-events" aria-label="Rules">
      <h2>Rules</h2>
      {events.length === 0 ? <p class="muted">Nothing since this page was opened.</p> : (
        <ul>
          {events.map((event) => {
            const { what, seconds } = ruleInWords(event);
            return (
              <li key={event.rule.occurrence_id} data-phase={event.event_type}>
                <span class={event.event_type === 'rule_began' ? 'dot recording' : 'dot idle'} aria-hidden="true" />
                <strong>{event.rule.id}</strong><span class="what">{what}</span>
                <a class="link" {...linkTo(playbackOf(camera.id, event))}><time dateTime={event.from}>{clock(Date.parse(event.from))}</time></a>
                <span class="muted">{event.event_type === 'rule_began' ? 'goes on' : seconds !== null ? amount(seconds) : ''}</span>
              </li>
            );
          })}
        </ul>
      )}
    </section>
  );
};
