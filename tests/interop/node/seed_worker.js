// Interop tests. A worker as Node programs have written it for years: its HTTP server never listens itself, but takes
// its connections from each listener that its master sends.
'use strict';

const http = require('node:http');

const server = http.createServer((request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/plain' });
  response.end(`pid is ${process.pid}\n`);
});

let taken = 0;

process.on('message', (message, listener) => {
  if (message !== 'server') return;
  listener.on('connection', (socket) => server.emit('connection', socket));
  taken += 1;
  process.send({ taken, address: listener.address() });
});
