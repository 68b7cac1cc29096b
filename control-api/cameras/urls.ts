import type { Config } from '../../config/schema.ts';

/** The ports media can be reached at; they differ from the configuration where it says 0. */
export interface MediaPorts {
  readonly edgeHttp: number;
  readonly rtsp: number;
}

/** Where a client reached us: scheme and host of its request. */
export interface Origin {
  readonly scheme: 'http' | 'https';
  /** Host and port. */
  readonly host: string;
}

/** Host header of a name, an IPv4 or a bracketed IPv6 address, with an optional port; nothing that could end up as markup or another URL part. */
const HOST = /^(?:[a-z0-9](?:[a-z0-9._-]{0,252})|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;

/** The origin to write into URLs: `public_url`, else the request's own host. */
export const originOf = (config: Pick<Config, 'public_url'>, request: { readonly host: string | undefined; readonly secure: boolean; readonly localPort: number }): Origin => {
  if (config.public_url !== undefined) {
    const url = new URL(config.public_url);
    return { scheme: url.protocol === 'https:' ? 'https' : 'http', host: `${url.host}${url.pathname.replace(/\/$/, '')}` };
  }
  const host = request.host !== undefined && HOST.test(request.host) ? request.host : `localhost:${String(request.localPort)}`;
  return { scheme: request.secure ? 'https' : 'http', host };
};

const hostname = (host: string): string => (/^(\[[^\]]*\]|[^:/]*)/.exec(host) ?? [''])[0];

/** All URLs of a camera (contract 0.3, 0.4). `direct` is null behind a `public_url`. */
export const urlsOf = (camera: string, origin: Origin, ports: MediaPorts, behindProxy: boolean) => {
  const at = (scheme: 'http' | 'https', host: string) => ({
    whip: `${scheme}://${host}/whip/${camera}`,
    whep: `${scheme}://${host}/whep/${camera}`,
    hls: `${scheme}://${host}/hls/${camera}/index.m3u8`,
    websocket: `${scheme === 'https' ? 'wss' : 'ws'}://${host}/v1/cameras/${camera}/detections/live`,
  });
  const name = hostname(origin.host);
  return {
    urls: { ...at(origin.scheme, origin.host), rtsp: `rtsp://${name}:${String(ports.rtsp)}/${camera}`, page: `${origin.scheme}://${origin.host}/cameras/${camera}` },
    direct_urls: behindProxy ? null : at(origin.scheme, `${name}:${String(ports.edgeHttp)}`),
  };
};
