/** The Transport header, RFC 2326 §12.39. */

/** One alternative of a client's offer. */
export interface TransportSpec {
  /** `RTP/AVP` or `RTP/AVP/UDP`: false; `RTP/AVP/TCP`: true. */
  readonly tcp: boolean;
  readonly multicast: boolean;
  /** Channels of RTP and RTCP, when the client names them. */
  readonly interleaved: readonly [rtp: number, rtcp: number] | null;
  readonly mode: 'play' | 'record';
}

const parseChannels = (text: string): readonly [number, number] | null => {
  const [, first, second] = /^(\d{1,3})(?:-(\d{1,3}))?$/.exec(text) ?? [];
  if (first === undefined) return null;
  const rtp = Number(first);
  const rtcp = second === undefined ? rtp + 1 : Number(second);
  return rtp <= 255 && rtcp <= 255 && rtp !== rtcp ? [rtp, rtcp] : null;
};

/** The alternatives in the client's order; those of another profile than RTP/AVP are left out. Never throws. */
export const parseTransport = (value: string): readonly TransportSpec[] => {
  const specs: TransportSpec[] = [];
  for (const alternative of value.split(',').slice(0, 16)) {
    const [protocol = '', ...parameters] = alternative.split(';').map((part) => part.trim());
    const match = /^RTP\/AVP(?:\/(TCP|UDP))?$/i.exec(protocol);
    if (!match) continue;
    const spec = { tcp: match[1]?.toUpperCase() === 'TCP', multicast: false, interleaved: null as TransportSpec['interleaved'], mode: 'play' as TransportSpec['mode'] };
    for (const parameter of parameters) {
      const [name = '', text = ''] = parameter.split('=', 2);
      switch (name.toLowerCase()) {
        case 'multicast':
          spec.multicast = true;
          break;
        case 'interleaved':
          spec.interleaved = parseChannels(text);
          break;
        case 'mode':
          // Some clients quote it and some write RECEIVE, as drafts of RFC 2326 did.
          if (/^"?(record|receive)"?$/i.test(text)) spec.mode = 'record';
          break;
      }
    }
    specs.push(spec);
  }
  return specs;
};

/** The server's choice for a TCP publisher. */
export const interleavedTransport = (channels: readonly [number, number], mode: TransportSpec['mode']): string =>
  `RTP/AVP/TCP;unicast;interleaved=${String(channels[0])}-${String(channels[1])}${mode === 'record' ? ';mode=record' : ''}`;
