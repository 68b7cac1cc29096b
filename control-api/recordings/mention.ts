/** Searches and playbacks, as they are told to others (SD-56). */
import type { Milliseconds } from '../../core/units.ts';
import { videoOf } from '../events/service.ts';
import type { EventService, NewEvent, PlaybackEvent, ProductInfo, SearchEvent } from '../events/service.ts';
import type { MarkService } from '../marks/service.ts';

type Filters = SearchEvent['search_results']['filters'];

export interface Search {
  /** User name. */
  readonly by: string;
  readonly cameras: readonly string[] | undefined;
  readonly from: Milliseconds | undefined;
  readonly to: Milliseconds | undefined;
  readonly filters: Filters;
  readonly hits: number;
  readonly more: boolean;
  readonly tookMs: Milliseconds;
}

export interface Playback {
  /** User name. */
  readonly by: string;
  readonly camera: string;
  readonly from: Milliseconds;
  readonly to: Milliseconds;
  readonly format: PlaybackEvent['playback']['format'];
}

const TOPIC = 'video-analysis-events';

/** Tells of what users look for and look at. */
export class RecordingMentions {
  readonly #events: EventService;
  readonly #marks: MarkService;
  readonly #now: () => Milliseconds;

  constructor(options: { readonly events: EventService; readonly marks: MarkService; readonly now: () => Milliseconds }) {
    this.#events = options.events;
    this.#marks = options.marks;
    this.#now = options.now;
  }

  /** Without a filter beside camera and time it is a list, as the pages ask for it again and again. */
  searched({ by, cameras, from, to, filters, hits, more, tookMs }: Search): void {
    if (Object.keys(filters).length === 0) return;
    const camera = cameras?.length === 1 ? (cameras[0] ?? null) : null;
    const body: Omit<SearchEvent, 'event_id' | 'timestamp'> = {
      event_type: 'search_completed', ...videoOf({ camera, from: from ?? null, to: to ?? null }), product_info: askedFor(filters),
      search_results: { hits, more, processing_time_ms: Math.round(tookMs), filters: cameras === undefined || camera !== null ? filters : { camera: [...cameras], ...filters } },
    };
    const event: NewEvent = { topic: TOPIC, camera, at: this.#now(), body };
    this.#events.mention({ topic: TOPIC, by, key: JSON.stringify(['search', by, cameras, from, to, filters]), event: () => event });
  }

  playing({ by, camera, from, to, format }: Playback): void {
    const at = this.#now();
    const event = async (): Promise<NewEvent> => {
      const body: Omit<PlaybackEvent, 'event_id' | 'timestamp'> = {
        event_type: 'playback_started', ...videoOf({ camera, from, to }), product_info: await this.#marks.productIn(camera, { from, to }), playback: { format },
      };
      return { topic: TOPIC, camera, at, body };
    };
    this.#events.mention({ topic: TOPIC, by, key: JSON.stringify(['playback', by, camera, from, to, format]), event });
  }
}

const askedFor = (filters: Filters): ProductInfo => {
  const text = (name: keyof ProductInfo): string | null => { const value = filters[name]; return typeof value === 'string' ? value : null; };
  return { work_order_id: text('work_order_id'), instruction_id: text('instruction_id'), product_type: text('product_type'), machine_number: text('machine_number') };
};
