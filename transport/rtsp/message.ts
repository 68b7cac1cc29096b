/** RTSP 1.0 messages, RFC 2326 §4–7 and §15.1 (syntax as HTTP/1.1). */
import { MediaError } from '../../core/errors.ts';

/** Header fields by lower-case name; a repeated field keeps its values in order. */
export type RtspHeaders = ReadonlyMap<string, readonly string[]>;

export interface RtspRequest {
  readonly method: string;
  readonly uri: string;
  /** `1.0` */
  readonly version: string;
  readonly headers: RtspHeaders;
  readonly body: Buffer;
}

export interface RtspResponse {
  readonly status: number;
  readonly reason: string;
  readonly version: string;
  readonly headers: RtspHeaders;
  readonly body: Buffer;
}

export const MAX_HEADER_BYTES = 16 << 10;
export const MAX_BODY_BYTES = 64 << 10;
const MAX_HEADERS = 100;

/** A start line and header fields, the body still to come. */
export interface RtspHead {
  readonly startLine: string;
  readonly headers: RtspHeaders;
  readonly bodyBytes: number;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const refuse = (why: string): MediaError => new MediaError('INVALID_ARGUMENT', why);

/** Parses everything before the empty line. Throws INVALID_ARGUMENT, or PAYLOAD_TOO_LARGE for what is over the limits. */
export const parseHead = (text: string): RtspHead => {
  const lines = text.split('\r\n');
  if (lines.length > MAX_HEADERS + 1) throw new MediaError('PAYLOAD_TOO_LARGE', 'too many RTSP header fields');
  const headers = new Map<string, string[]>();
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).trim().toLowerCase();
    if (colon < 1 || !TOKEN.test(name)) throw refuse('malformed RTSP header field');
    const values = headers.get(name);
    const value = line.slice(colon + 1).trim();
    if (values) values.push(value);
    else headers.set(name, [value]);
  }
  return { startLine: lines[0] ?? '', headers, bodyBytes: bodyBytes(headers) };
};

const bodyBytes = (headers: RtspHeaders): number => {
  const values = headers.get('content-length');
  if (!values) return 0;
  const text = values[0] ?? '';
  if (values.some((value) => value !== text) || !/^\d{1,10}$/.test(text)) throw refuse('malformed RTSP Content-Length');
  const length = Number(text);
  if (length > MAX_BODY_BYTES) throw new MediaError('PAYLOAD_TOO_LARGE', 'RTSP body too large');
  return length;
};

const REQUEST_LINE = /^([A-Z][A-Z_]{1,31}) (\S+) RTSP\/(\d\.\d)$/;
const STATUS_LINE = /^RTSP\/(\d\.\d) (\d{3})(?: (.*))?$/;

/** Whether a start line is a response's. */
export const isStatusLine = (line: string): boolean => line.startsWith('RTSP/');

/** Throws INVALID_ARGUMENT when the start line is no request line. */
export const toRequest = (head: RtspHead, body: Buffer): RtspRequest => {
  const [, method, uri, version] = REQUEST_LINE.exec(head.startLine) ?? [];
  if (method === undefined || uri === undefined || version === undefined) throw refuse('malformed RTSP request line');
  return { method, uri, version, headers: head.headers, body };
};

/** Throws INVALID_ARGUMENT when the start line is no status line. */
export const toResponse = (head: RtspHead, body: Buffer): RtspResponse => {
  const [, version, status, reason] = STATUS_LINE.exec(head.startLine) ?? [];
  if (version === undefined || status === undefined) throw refuse('malformed RTSP status line');
  return { version, status: Number(status), reason: reason ?? '', headers: head.headers, body };
};

/** The first value of a header field, or null. */
export const header = (message: { readonly headers: RtspHeaders }, name: string): string | null => message.headers.get(name)?.[0] ?? null;

/** RFC 2326 §7.1.1. */
const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  413: 'Request Entity Too Large',
  415: 'Unsupported Media Type',
  453: 'Not Enough Bandwidth',
  454: 'Session Not Found',
  455: 'Method Not Valid in This State',
  459: 'Aggregate Operation Not Allowed',
  460: 'Only Aggregate Operation Allowed',
  461: 'Unsupported Transport',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  503: 'Service Unavailable',
  505: 'RTSP Version Not Supported',
  551: 'Option Not Supported',
};

export interface RtspAnswer {
  readonly status: number;
  /** In order; a field may repeat (WWW-Authenticate). Values must be free of line breaks: they are ours or already checked. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: string;
}

/** A response as bytes. `cseq` null: the request had none that could be echoed. */
export const encodeAnswer = (answer: RtspAnswer, cseq: string | null): Buffer => {
  const lines = [`RTSP/1.0 ${String(answer.status)} ${REASONS[answer.status] ?? 'Unknown'}`];
  if (cseq !== null && /^\d{1,10}$/.test(cseq)) lines.push(`CSeq: ${cseq}`);
  for (const [name, value] of answer.headers ?? []) lines.push(`${name}: ${value.replace(/[\r\n]/g, ' ')}`);
  const body = Buffer.from(answer.body ?? '');
  if (body.length > 0) lines.push(`Content-Length: ${String(body.length)}`);
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body]);
};
