/** Addresses of moments and ranges on a camera's recordings page. Pure; times are Unix ms. */

/** What an address points at; null when it points at nothing in particular. */
export type Link = { readonly from: number; readonly to: number } | { readonly at: number } | null;

const instant = (text: string | null): number => (text === null ? NaN : Date.parse(text));

/** A range that is none, or times that are none, count as not there. */
export const linkOf = (search: string): Link => {
  const query = new URLSearchParams(search);
  const [from, to, at] = [instant(query.get('from')), instant(query.get('to')), instant(query.get('at'))];
  if (from < to) return { from, to };
  return Number.isNaN(at) ? null : { at };
};

/** The path of a camera's recordings page that opens exactly this. */
export const pathTo = (camera: string, link: Link): string => {
  const path = `/cameras/${camera}/recordings`;
  if (link === null) return path;
  if ('at' in link) return `${path}?at=${new Date(link.at).toISOString()}`;
  return `${path}?from=${new Date(link.from).toISOString()}&to=${new Date(link.to).toISOString()}`;
};
