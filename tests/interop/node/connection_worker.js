// Interop tests. A Node worker that is handed connections one by one: child.send('server', socket) on the master's side.
// On TERM it answers what it has and leaves. As worker 1, with a time as its argument, it blocks that long with each
// request.
'use strict';

const http = require('node:http');

const blocked = process.env.BATON_WORKER === '1' ? Number(process.argv[2] || 0) : 0;
let stopping = false;
let open = 0;

const leave = () => {
  if (stopping && open === 0) process.disconnect();
};

const server = http.createServer((request, response) => {
  response.shouldKeepAlive = response.shouldKeepAlive && !stopping;
  for (const until = Date.now() + blocked; Date.now() < until; );
  response.end(`pid is ${process.pid}\n`);
});

process.on('message', (message, socket) => {
  if (message !== 'server' || !socket) return;
  open += 1;
  socket.on('close', () => {
    open -= 1;
    leave();
  });
  server.emit('connection', socket);
});

process.on('SIGTERM', () => {
  stopping = true;
  setTimeout(() => server.closeIdleConnections(), 200).unref();
  leave();
});
