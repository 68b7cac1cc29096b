import { linkTo } from '../router.ts';

/** Nothing is here: says so and leads back. */
export const Missing = (props: { what: string }) => (
  <div class="empty">
    <p role="status">{props.what}</p>
    <a class="button" {...linkTo('/')}>Back to the live wall</a>
  </div>
);
