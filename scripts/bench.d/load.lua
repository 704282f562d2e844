-- wrk's side of scripts/bench: how many requests are sent at a time, and one line of JSON at the end.
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
