// A worker that takes connections from baton's master. The first of its siblings sleeps 50 ms before each answer.
const http = require('node:http');

const pause = process.env.BATON_WORKER === '1' ? 50 : 0;
const server = http.createServer((request, response) => {
  const answer = () => {
    response.writeHead(200, { 'Content-Type': 'text/plain' });
    response.end(`pid is ${process.pid}\n`);
  };
  if (pause) setTimeout(answer, pause);
  else answer();
});
process.on('message', (message, connection) => {
  if (connection) server.emit('connection', connection);
});
