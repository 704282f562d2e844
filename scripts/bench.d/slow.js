// A worker that takes connections from baton's master, and sleeps 50 ms before each answer.
const http = require('node:http');

const server = http.createServer((request, response) => {
  setTimeout(() => {
    response.writeHead(200, { 'Content-Type': 'text/plain' });
    response.end(`pid is ${process.pid}\n`);
  }, 50);
});
process.on('message', (message, connection) => {
  if (connection) server.emit('connection', connection);
});
