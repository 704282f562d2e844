// A worker for `baton --dialect channel -- node examples/worker.js`: it never binds a port, it is handed a listener.
const http = require('node:http');

let stopping = false;

const server = http.createServer((request, response) => {
  response.shouldKeepAlive = response.shouldKeepAlive && !stopping;
  response.writeHead(200, { 'Content-Type': 'text/plain' });
  response.end(`pid is ${process.pid}\n`);
});

process.on('message', (message, listener) => {
  if (message !== 'server') return;
  listener.on('connection', (socket) => server.emit('connection', socket));

  // baton's word for: finish what you are answering, a successor accepts.
  process.on('SIGTERM', () => {
    stopping = true;
    listener.close(() => process.disconnect()); // once the last connection has ended
    // A client may have sent its next request before it could know; those that stay silent are let go.
    setTimeout(() => server.closeIdleConnections(), 500).unref();
  });
});
