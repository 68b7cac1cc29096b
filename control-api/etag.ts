/** Entity tags of answers made of text (RFC 9110 §8.8.3, §13.1.2). */
import { hash } from 'node:crypto';

/** A text, as the bytes to send, with its strong entity tag. */
export interface TaggedText {
  readonly contentType: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly etag: string;
}

const encoder = new TextEncoder();

export const tagged = (value: unknown): TaggedText => taggedText(JSON.stringify(value), 'application/json');

export const taggedText = (text: string, contentType: string): TaggedText => {
  const bytes = encoder.encode(text);
  return { contentType, bytes, etag: `"${hash('sha256', bytes, 'base64url').slice(0, 22)}"` };
};

/** Whether `If-None-Match` names `etag`; weak comparison. */
export const matches = (ifNoneMatch: string | undefined, etag: string): boolean =>
  ifNoneMatch !== undefined && (ifNoneMatch.trim() === '*' || ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag));

/** 200 with the text, or 304 when the client has it. */
export const answerTagged = (ifNoneMatch: string | undefined, body: TaggedText): Response =>
  ifNoneMatch !== undefined && matches(ifNoneMatch, body.etag)
    ? new Response(null, { status: 304, headers: { etag: body.etag, 'cache-control': 'private, no-cache' } })
    : new Response(body.bytes, { headers: { 'content-type': body.contentType, etag: body.etag, 'cache-control': 'private, no-cache' } });
