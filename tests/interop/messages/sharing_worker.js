// Interop tests. A Node worker that serves the listener it was started with, talks to its siblings, and counts with them.
'use strict';
const http = require('http');

const waiting = new Map();
let last = 0;
function ask(wish) {
  return new Promise((resolve) => {
    waiting.set(++last, resolve);
    process.send({ ...wish, id: last });
  });
}

async function add(count, atOnce) {
  const sums = [];
  let left = count;
  const adder = async () => {
    while (left-- > 0) sums.push((await ask({ baton: 'add', key: 'count' })).value);
  };
  await Promise.all(Array.from({ length: atOnce }, adder));
  await ask({ baton: 'put', key: `got/${process.env.BATON_WORKER}`, value: sums });
  process.send({ added: count });
}

process.on('message', async (m) => {
  if (m.id !== undefined && waiting.has(m.id) && m.baton !== 'message') {
    waiting.get(m.id)(m);
    waiting.delete(m.id);
  } else if (m.baton === 'message') {
    const task = m.message;
    if (m.id !== undefined) process.send({ baton: 'reply', id: m.id, message: { node: process.pid, heard: task } });
    if (task.adds) await add(task.adds, task.at_once);
    if (task.ask) process.send({ asked: await ask({ baton: 'send', to: task.ask, message: 'from node', timeout: 5000 }) });
    process.send({ heard: task, from: m.from });
  }
});

http.createServer((request, response) => response.end(`pid is ${process.pid}\n`)).listen({ fd: 3 }, () => process.send('ready'));
