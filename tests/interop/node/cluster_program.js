// Interop tests. Programs that know nothing of baton: each listens as Node's documentation says. The first argument
// chooses one, the others are its own. What a test can't see from outside is told by process.send().
'use strict';
const cluster = require('cluster');
const dgram = require('dgram');
const http = require('http');

const [program, ...words] = process.argv.slice(2);
const tell = (what) => process.send(what);

function answer(request, response) {
  if (request.url === '/leave') cluster.worker.disconnect();
  const text = `pid is ${process.pid}\n`;
  response.setHeader('Content-Length', text.length);
  setTimeout(() => response.end(text), request.url === '/slow' ? 500 : 0);
}

// Says which port it has, or with which error it failed.
function serve(...where) {
  const server = http.createServer(answer);
  server.on('error', (error) => tell({ failed: error.code, call: error.syscall }));
  server.listen(...where, () => {
    const address = server.address();
    tell({ port: address && address.port });
  });
  return server;
}

const programs = {
  plain: () => serve(Number(words[0]), '127.0.0.1'),
  primary: () => {
    if (cluster.isPrimary) throw new Error('it is no worker');
    tell({ primary: cluster.isPrimary, worker: cluster.isWorker });
    serve(0, '127.0.0.1');
  },
  several: () => words.forEach((port) => serve(Number(port), '127.0.0.1')),
  late: () => {
    serve(0, '127.0.0.1');
    setTimeout(() => serve(0, '127.0.0.1'), 300);
  },
  path: () => serve(words[0]),
  vain: () => {
    serve(Number(words[0]), words[1] || '127.0.0.1');
    tell('ready');
  },
  odd: () => {
    serve({ fd: 0 });
    serve(`/tmp/${'x'.repeat(200)}`);
    serve('/no/such/directory/x.sock');
    tell('ready');
  },
  twice: () => {
    serve({ port: Number(words[0]), host: '127.0.0.1', backlog: 7 });
    serve({ port: Number(words[0]), host: '127.0.0.1', backlog: 9 });
  },
  udp: () => {
    const socket = dgram.createSocket('udp4');
    socket.on('error', (error) => tell({ failed: error.code, call: error.syscall }));
    socket.bind(0);
    tell('ready');
  },
  pool: () => {
    setInterval(() => {}, 1000);  // like a database's connections
    serve(0, '127.0.0.1');
  },
  limited: () => { serve(0, '127.0.0.1').maxConnections = 1; },
  closes: () => {
    const server = serve(0, '127.0.0.1');
    process.on('SIGUSR2', () => server.close());
  },
  secure: () => {
    const server = require('https').createServer();
    server.on('error', (error) => tell({ failed: error.code, call: error.syscall }));
    server.listen(Number(words[0]), '127.0.0.1', () => tell({ keys: server.getTicketKeys().toString('hex') }));
    tell('ready');
  },
  fails: () => {
    serve(0, '127.0.0.1').on('listening', () => {
      if (!require('fs').existsSync(words[0])) process.exit(1);
      tell('ready');
    });
  },
};

programs[program]();
