// Interop tests. As worker 1 it serves, and on SIGUSR1 does one wrong thing on its channel; as any other it serves.
'use strict';
const fs = require('fs');
const http = require('http');
const net = require('net');

const deed = process.argv[2];
const channel = process.channel.fd;
const megabyte = 1 << 20;

// Past Node's queue, and without a look at what comes.
function write(text) {
  let bytes = Buffer.from(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(fs.writeSync(channel, bytes));
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}

const line = (message) => `${JSON.stringify({ cmd: 'NODE_CLUSTER', ...message })}\n`;
const query = (more) => line({ act: 'queryServer', index: 0, data: null, address: '127.0.0.1', port: 0, addressType: 4, seq: 1000, ...more });

const deeds = {
  garbage: () => write('}{\n\u0000\n'.repeat(1000)),
  nonsense: () => {
    const wrong = [null, true, -1, 1.5, 1e300, 'x', [], {}, 70000];
    for (const name of ['act', 'index', 'address', 'port', 'addressType', 'flags', 'fd', 'backlog', 'data', 'seq'])
      for (const each of wrong) write(query({ index: 7, [name]: each }));
    for (const act of ['close', 'listening', 'exitedAfterDisconnect', 'newconn', 'disconnect'])
      for (const each of wrong) write(line({ act, key: each, seq: each === null ? undefined : 'x' }));
    for (const each of wrong) write(line({ ack: each, accepted: true, seq: 1 }));
  },
  handle: () => {
    const server = net.createServer().listen({ port: 0, exclusive: true }, () => process.send('take this', server));
  },
  // 100 MB of questions in one go: nothing is read meanwhile.
  flood: () => {
    const data = 'x'.repeat(3500);
    let sent = 0;
    for (let i = 1; sent < 100 * megabyte; ++i) {
      const next = query({ index: i, seq: i, data }).repeat(16);
      write(next);
      sent += next.length;
    }
    write('"flooded"\n');
  },
};

http.createServer((request, response) => {
  const text = `pid is ${process.pid}\n`;
  response.setHeader('Content-Length', text.length);
  response.end(text);
}).listen(0, '127.0.0.1');
if (process.env.BATON_WORKER === '1') process.on('SIGUSR1', () => { deeds[deed](); if (deed !== 'flood') process.send('done'); });
