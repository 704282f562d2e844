// Node's own way to do baton's job: bind, send the listener to the children, close.
const { fork } = require('node:child_process');
const net = require('node:net');
const path = require('node:path');

const [port, workers] = process.argv.slice(2).map(Number);
const children = Array.from({ length: workers }, () => fork(path.join(__dirname, 'worker.js')));
const server = net.createServer();
server.listen({ port, host: '127.0.0.1', backlog: 4096 }, () => {
  for (const child of children) child.send('server', server);
  server.close();
});
process.on('SIGTERM', () => {
  for (const child of children) child.kill('SIGTERM');
  process.exit(0);
});
