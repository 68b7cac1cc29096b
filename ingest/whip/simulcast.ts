/** Names clients give their full-size layer, by the other names beside it (RFC 8851 leaves rids to the client). */
const FULL_SIZE_NAMES = ['f', 'full', 'high', 'hi', 'h'] as const;

/**
 * The layer to take of a simulcast offer (RFC 8853): the answer names it alone, so the client sends no other. A known name wins; else the
 * last, which W3C WebRTC §5.2 scales least by default. Null without layers.
 */
export const fullLayer = (rids: readonly string[]): string | null => FULL_SIZE_NAMES.find((name) => rids.includes(name)) ?? rids.at(-1) ?? null;
