/** `host:port` that others can call: a name, an IPv4 address, or an IPv6 address in brackets; not the address that means "all of mine". */
export const isHostPort = (text: string): boolean => {
  const [, host = '', port = ''] = /^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?):([1-9]\d{0,4})$/.exec(text) ?? [];
  return host !== '' && Number(port) <= 65_535 && !/^(0\.0\.0\.0|\[[0:.]+\])$/.test(host);
};
