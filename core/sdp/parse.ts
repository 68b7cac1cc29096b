/** Reads session descriptions, RFC 8866; the attributes' own RFCs are named where they are read (`attributes.ts`). */
import { MediaError } from '../errors.ts';
import { readMediaAttribute, readTransportAttribute } from './attributes.ts';
import type { Mutable } from './attributes.ts';
import { emptyMedia, emptySession } from './description.ts';
import type { MediaDescription, SessionDescription } from './description.ts';

export const MAX_SDP_BYTES = 64 << 10;
export const MAX_MEDIA_SECTIONS = 32;
const MAX_LINE = 8 << 10;

/** Refuses `line` with its text, cut to a length fit for an answer. */
const badLine = (line: string, why: string): MediaError =>
  new MediaError('INVALID_ARGUMENT', `SDP: ${why}`, { context: { line: line.slice(0, 200) } });

/** The lines of `text`, within the bounds. Throws INVALID_ARGUMENT. */
export const sdpLines = (text: string): string[] => {
  if (text.length > MAX_SDP_BYTES) throw new MediaError('INVALID_ARGUMENT', 'SDP: longer than 64 KiB');
  const lines = text.split(/\r\n|\n|\r/).filter((line) => line.length > 0);
  for (const line of lines) {
    if (line.length > MAX_LINE) throw badLine(line, 'line too long');
    if (!/^[a-z]=/.test(line) || line.includes('\0')) throw badLine(line, 'not a line of SDP');
  }
  return lines;
};

/** Parses a whole description. Throws INVALID_ARGUMENT naming the line. Attributes it does not know are left out. */
export const parseSdp = (text: string): SessionDescription => {
  const lines = sdpLines(text);
  if (lines[0] !== 'v=0') throw badLine(lines[0] ?? '', 'does not begin with v=0');
  const session: Mutable<SessionDescription> = emptySession();
  const media: Mutable<MediaDescription>[] = [];
  for (const line of lines) {
    const value = line.slice(2);
    const section = media.at(-1);
    switch (line[0]) {
      case 'm':
        if (media.length === MAX_MEDIA_SECTIONS) throw badLine(line, 'more than 32 media sections');
        media.push(readMediaLine(line));
        break;
      case 'o':
        session.origin = value;
        break;
      case 's':
        session.name = value;
        break;
      case 'b':
        if (section && /^TIAS:\d{1,12}$/.test(value)) section.maxBitrateBps = Number(value.slice(5));
        break;
      case 'a':
        if (section) readMediaAttribute(section, value, line);
        else readSessionAttribute(session, value, line);
        break;
      default: // c, t …: nothing here depends on them
    }
  }
  session.media = media.map((section) => inherit(section, session));
  return session;
};

const readMediaLine = (line: string): MediaDescription => {
  const match = /^m=([a-z]+) (\d{1,5})(?:\/\d+)? ([A-Za-z/]+)((?: [^ ]+)*) *$/.exec(line);
  const [, kind = '', port = '', protocol = '', formats = ''] = match ?? [];
  if (!match || Number(port) > 65_535) throw badLine(line, 'malformed media line');
  return emptyMedia(kind, Number(port), protocol, formats.split(' ').filter((format) => format.length > 0));
};

const readSessionAttribute = (session: Mutable<SessionDescription>, attribute: string, line: string): void => {
  if (attribute === 'ice-lite') session.iceLite = true;
  else if (attribute.startsWith('group:BUNDLE') && session.bundle.length === 0) session.bundle = attribute.split(' ').slice(1).filter((mid) => mid.length > 0);
  else readTransportAttribute(session, attribute, line);
};

/** Session-level values count for sections that have none of their own. */
const inherit = (media: MediaDescription, session: SessionDescription): MediaDescription => ({
  ...media,
  iceUfrag: media.iceUfrag ?? session.iceUfrag,
  icePwd: media.icePwd ?? session.icePwd,
  fingerprint: media.fingerprint ?? session.fingerprint,
  setup: media.setup ?? session.setup,
});
