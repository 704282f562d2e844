// Interop tests. A Node master whose workers are baton's, started with child_process.fork().
//
//   node fork_master.js server|socket BATON_BINARY CHILDREN
//
// "server" sends each child the listener and closes its own, as the seed does; "socket" accepts itself and sends each
// child connections in turn. Speaks on standard error; SIGUSR2 has it send a plain message, SIGHUP disconnect.
'use strict';

const { fork } = require('node:child_process');
const net = require('node:net');

const [, , what, baton, count] = process.argv;
const say = (text) => process.stderr.write(`${text}\n`);

const children = [];
let ready = 0;

const announce = () => {
  say(`all ready on 127.0.0.1:${port}`);
};

const server = net.createServer({ pauseOnConnect: true });
let port = 0;
let next = 0;
server.on('connection', (socket) => {
  next += 1;
  children[next % children.length].send('socket', socket);
});

const start = () => {
  const child = fork('worker', ['--log-level', 'debug'], { execPath: baton, execArgv: [] });
  children.push(child);
  say(`child ${child.pid} started`);
  child.on('message', (message) => {
    say(`child ${child.pid} says ${JSON.stringify(message)}`);
    if (message !== 'ready') return;
    ready += 1;
    if (ready === children.length) announce();
  });
  child.on('error', (error) => say(`child ${child.pid} error ${error}`));
  child.on('disconnect', () => say(`child ${child.pid} disconnected`));
  child.on('exit', (code, signal) => say(`child ${child.pid} exited with ${code} ${signal}`));
};

process.on('SIGUSR2', () => {
  for (const child of children) child.send({ hello: 'world' });
});
process.on('SIGHUP', () => {
  server.close(() => say('server closed'));
  for (const child of children) child.disconnect();
});

server.listen(0, '127.0.0.1', () => {
  port = server.address().port;
  for (let i = 0; i < Number(count); i += 1) start();
  if (what === 'socket') {
    announce();
    return;
  }
  for (const child of children) child.send('server', server);
  server.close();
});
