// A Node master whose children are baton's embedded workers: node examples/master.js PATH-OF-BATON [PORT]
const { fork } = require('node:child_process');
const net = require('node:net');

const [baton, port = '1337'] = process.argv.slice(2);
const workers = [1, 2].map(() => fork('worker', [], { execPath: baton, execArgv: [] }));

const server = net.createServer();
server.listen(Number(port), '127.0.0.1', () => {
  for (const worker of workers) {
    worker.on('message', (message) => console.log(`pid ${worker.pid} says ${message}`));
    worker.send('server', server);
  }
  // The workers have it now; this process is out of the way.
  server.close();
});
