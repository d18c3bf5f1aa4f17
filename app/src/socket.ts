/** A unix socket to listen on instead of a port: only a proxy beside us connects to it. */
import { lstatSync, unlinkSync } from 'node:fs';
import { connect, type Server, type Socket } from 'node:net';
import type { ApiSettings } from './settings.js';

/** What connects to a unix socket has no address. This one nobody else can have, nor a proxy see as its client's. */
const PEER = '0.0.0.0';

export function nameThePeer(server: Server): void {
  server.on('connection', (peer: Socket) => Object.defineProperty(peer, 'remoteAddress', { value: PEER }));
}

/** The proxy at the socket is always believed, but not what it was told: with `true` a client could choose its address. */
export function trusted({ SOCKET, TRUST_PROXY }: ApiSettings): ApiSettings['TRUST_PROXY'] {
  if (SOCKET === undefined) return TRUST_PROXY;
  return typeof TRUST_PROXY === 'string' ? `${PEER},${TRUST_PROXY}` : PEER;
}

/** A killed process leaves its socket behind. One that is in use stays, for listening to fail on. */
export async function removeStale(path: string): Promise<void> {
  const code = await new Promise<string | undefined>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(undefined);
    }).on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
  if (code !== 'ECONNREFUSED') return;
  try {
    if (!lstatSync(path).isSocket()) throw Object.assign(new Error('not a socket'), { code: 'ENOTSOCK' });
    unlinkSync(path);
  } catch (error) {
    // As listening says it.
    throw Object.assign(error as Error, { address: path });
  }
}
