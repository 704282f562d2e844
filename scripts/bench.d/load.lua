-- wrk's side of scripts/bench: how many requests are sent at a time, and one line of JSON at the end.
-- A server of several ports has as many in a row from that of the URL; each thread of wrk has one of them.
local threads = 0

function setup(thread)
  local port = wrk.port + threads % os.getenv('BENCH_PORTS')
  thread.addr = wrk.lookup(wrk.host, string.format('%d', port))[1]
  threads = threads + 1
end

function init(args)
  local one = wrk.format()
  local all = one:rep(tonumber(args[1]))
  wrk.format = function() return all end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"us":%d,"bytes":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d,"p50":%d,"p99":%d,"p99.9":%d}\n',
    summary.requests, summary.duration, summary.bytes, errors.connect, errors.read, errors.write, errors.timeout,
    errors.status, latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
