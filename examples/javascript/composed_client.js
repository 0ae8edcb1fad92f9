// An app in JavaScript that uses the provider's sockets: `composed_client.wasm HOST PORT TEXT...` talks to an echo server.
//
// `make apps` builds it with componentize-js. Where Python would raise an exception, the bindings throw a ComponentError whose
// payload is the contract's error: { tag, val }.

import { getArguments } from 'wasi:cli/environment@0.2.0';
import { createConnection } from 'sandsock:socket/sockets@0.1.0';

function talk(host, port, texts) {
  const timeout = { tag: 'seconds', val: 5 };
  const socket = createConnection(host, { tag: 'number', val: BigInt(port) }, timeout, undefined, false, undefined);
  for (const text of texts) {
    const data = new TextEncoder().encode(text);
    socket.sendall(data, 0, undefined);
    let back = [];
    while (back.length < data.length) {
      const part = socket.recv(BigInt(data.length - back.length), 0, undefined);
      if (part.length === 0) throw new Error('the server closed the connection');
      back = back.concat(Array.from(part));
    }
    console.log(new TextDecoder().decode(new Uint8Array(back)));
  }
}

export const run = {
  run() {
    const [, host, port, ...texts] = getArguments();
    try {
      talk(host, port, texts);
    } catch (error) {
      const { tag, val } = error.payload ?? { val: { text: String(error) } };
      // The text names the missing grant.
      console.error(tag === 'denied' ? `PermissionError: ${val.reason}` : `OSError: ${val?.text ?? tag}`);
      throw undefined;
    }
  },
};
