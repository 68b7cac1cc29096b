import type { Metrics } from '../platform/metrics.ts';

/** `imageflow_http_request_seconds`, with each pair of labels resolved once: there are few routes and fewer statuses. */
export const createRequestMeter = ({ httpRequestSeconds }: Metrics) => {
  const children = new Map<string, Map<number, { observe(seconds: number): void }>>();
  return (route: string, status: number, seconds: number): void => {
    let ofRoute = children.get(route);
    if (ofRoute === undefined) children.set(route, (ofRoute = new Map<number, { observe(seconds: number): void }>()));
    let child = ofRoute.get(status);
    if (child === undefined) ofRoute.set(status, (child = httpRequestSeconds.labels(route, String(status))));
    child.observe(seconds);
  };
};
