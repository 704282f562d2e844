// A worker for `baton -- node examples/worker.js`: it never binds a port, it is handed a listener.
const http = require('node:http');

const server = http.createServer((request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/plain' });
  response.end(`pid is ${process.pid}\n`);
});

process.on('message', (message, listener) => {
  if (message !== 'server') return;
  listener.on('connection', (socket) => server.emit('connection', socket));
});
