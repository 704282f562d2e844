// Takes the listener from its master and answers with the pid.
const http = require('node:http');

const server = http.createServer((request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/plain' });
  response.end(`pid is ${process.pid}\n`);
});
server.keepAliveTimeout = 75_000;
process.on('message', (message, listener) => {
  if (message === 'server') listener.on('connection', (socket) => server.emit('connection', socket));
});
