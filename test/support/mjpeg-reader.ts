/** Reads `multipart/x-mixed-replace` as a strict client does: boundary, head, exactly as many bytes as it says, boundary. */
export interface MjpegPart {
  readonly headers: ReadonlyMap<string, string>;
  readonly bytes: Buffer;
}

const CRLF2 = Buffer.from('\r\n\r\n');

/** Parts of an answer until it ends; throws at the first byte that is out of place. */
export async function* readParts(response: Response): AsyncGenerator<MjpegPart, void, undefined> {
  const boundary = /^multipart\/x-mixed-replace; boundary=(\S+)$/.exec(response.headers.get('content-type') ?? '')?.[1];
  if (boundary === undefined || !response.body) throw new Error(`no multipart: ${String(response.status)} ${await response.text()}`);
  const delimiter = Buffer.from(`--${boundary}\r\n`);
  let buffer = Buffer.alloc(0);
  let needed = delimiter.length;
  let headers: Map<string, string> | null = null;
  let state: 'delimiter' | 'head' | 'body' = 'delimiter';
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    buffer = Buffer.concat([buffer, chunk]);
    for (;;) {
      if (state === 'head') {
        const end = buffer.indexOf(CRLF2);
        if (end < 0) break;
        headers = new Map(buffer.subarray(0, end).toString('latin1').split('\r\n').map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
        buffer = buffer.subarray(end + CRLF2.length);
        needed = Number(headers.get('content-length')) + 2;
        state = 'body';
      }
      if (buffer.length < needed) break;
      const taken = buffer.subarray(0, needed);
      buffer = buffer.subarray(needed);
      if (state === 'delimiter') {
        if (!taken.equals(delimiter)) throw new Error(`no boundary: ${taken.toString('latin1')}`);
        state = 'head';
      } else {
        if (taken.subarray(-2).toString() !== '\r\n' || !headers) throw new Error('a part is not as long as it says');
        yield { headers, bytes: Buffer.from(taken.subarray(0, -2)) };
        state = 'delimiter';
        needed = delimiter.length;
      }
    }
  }
}
