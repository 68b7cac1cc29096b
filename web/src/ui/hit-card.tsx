import type { Hit } from '../recordings/api.ts';
import { pathTo } from '../recordings/link.ts';
import { amount, clock, day } from '../recordings/moments.ts';
import { linkTo } from '../router.ts';
import { KindBadge, Result, Tags, productWords } from './mark-badges.tsx';
import { Thumbnail } from './thumbnail.tsx';

/** The picture of a range is that of its middle, but not of one far from its beginning: hours later something else is to be seen. */
const PICTURE_AFTER_MS = 30_000;

/** One thing found, as a link to exactly that. */
export const HitCard = (props: { hit: Hit; camera: string; tabIndex: number; onFocus: () => void }) => {
  const { hit } = props;
  const { mark, detections } = hit;
  const [from, to] = [Date.parse(hit.start), Date.parse(hit.end)];
  const products = mark === null ? '' : productWords(mark);
  return (
    <a class="hit" tabIndex={props.tabIndex} onFocus={props.onFocus} {...linkTo(pathTo(hit.camera, { from, to }))}>
      <div class="hit-picture">
        <Thumbnail camera={hit.camera} at={Math.round(Math.min((from + to) / 2, from + PICTURE_AFTER_MS))} />
        <span class="length">{amount(hit.duration)}</span>
      </div>
      <div class="hit-words">
        <p class="hit-title"><strong>{mark?.title ?? (products === '' ? props.camera : products)}</strong></p>
        {mark?.title != null && products !== '' && <p class="muted products">{products}</p>}
        <p class="muted when"><span>{day(from)}, {clock(from)}</span>{(mark?.title != null || products !== '') && <span> · {props.camera}</span>}</p>
        <p class="badges">
          {mark !== null && <KindBadge kind={mark.kind} />}
          <Result result={mark?.inspection_result ?? null} />
          {detections && <span class="badge class">{detections.class_name} × {detections.count}{detections.at_once > 1 && `, ${detections.at_once} at once`}, up to {Math.round(detections.max_confidence * 100)} %{detections.model !== null && ` (analysis, ${detections.model})`}</span>}
          {hit.open && <span class="badge live">recording</span>}
          <Tags tags={mark?.tags ?? []} />
        </p>
      </div>
    </a>
  );
};
