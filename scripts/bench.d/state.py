"""Adding to one number that many share: baton's state beside Redis's INCR, by the same client in the same round."""
import contextlib
import datetime
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from prepare import BATON, BUILT, ROOT, compiled
from servers import DEADLINE_S, BenchError
from tables import markdown

WRITTEN = ROOT / "docs/benchmarks-state.md"
WORKER = ROOT / "tests/support/workers/adding_worker.cpp"
LIBRARY = ROOT / "build/release/worker/libbaton-worker.a"
CONNECTIONS = 8
# Requests in one write.
AT_ONCE = (1, 16)
ADDS = 30_000
TARGETS = {"http": 0.5, "channel": 1.0}


def build_worker():
    """The library's side, linked as a program of somebody else's is."""
    program = BUILT / "adding_worker"
    BUILT.mkdir(parents=True, exist_ok=True)
    command = ["g++", "-std=c++20", "-O2", f"-I{ROOT}", WORKER, LIBRARY, "-lboost_json", "-o", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"{WORKER.name} does not compile:\n{done.stderr}")
    return str(program)


def wait_until(holds, what):
    end = time.monotonic() + DEADLINE_S
    while not holds():
        if time.monotonic() > end:
            raise BenchError(f"{what} did not come up")
        time.sleep(0.01)


def answers(path):
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(path))
        return True
    return False


@contextlib.contextmanager
def running(command, **more):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, **more)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def count(protocol, path, connections, at_once, seconds):
    done = subprocess.run([compiled("counter"), protocol, str(path), str(connections), str(at_once), str(seconds)],
                          check=True, capture_output=True, text=True, timeout=DEADLINE_S)
    return float(done.stdout)


def count_on_channel(control, errors, at_once):
    """By one worker with the library, which tells how long it took."""
    before = errors.stat().st_size
    message = json.dumps({"adds": ADDS, "at_once": at_once})
    subprocess.run([str(BATON), "send", "--control", str(control), "1", message], check=True, capture_output=True)
    end = time.monotonic() + DEADLINE_S
    text = ""
    while '"seconds"' not in text or not text.endswith("\n"):
        text = errors.read_text(encoding="utf-8")[before:]
        if time.monotonic() > end:
            raise BenchError("the worker did not count")
        time.sleep(0.005)
    told = json.loads(text[text.index("{"):].splitlines()[0])
    return told["added"] / told["seconds"]


def one_round(sockets, errors, seconds, samples):
    for at_once in AT_ONCE:
        for name in ("redis", "http", "http-file"):
            rate = count(name.split("-")[0], sockets[name], CONNECTIONS, at_once, seconds)
            samples.setdefault((name, at_once), []).append(rate)
        samples.setdefault(("redis-one", at_once), []).append(count("redis", sockets["redis"], 1, at_once, seconds))
        samples.setdefault(("channel", at_once), []).append(count_on_channel(sockets["channel"], errors, at_once))


TITLES = {"redis": "Redis, `INCR`", "http": "baton, HTTP", "http-file": "baton, HTTP, `--state-file`",
          "redis-one": "Redis, `INCR`, one connection", "channel": "baton, one worker's channel, the library"}
BASES = {"redis": "redis", "http": "redis", "http-file": "redis", "redis-one": "redis-one", "channel": "redis-one"}


def ratio(samples, name, at_once):
    pairs = zip(samples[name, at_once], samples[BASES[name], at_once])
    return statistics.median(one / other for one, other in pairs)


def report(samples, rounds, seconds):
    version = subprocess.run(["redis-server", "--version"], check=True, capture_output=True, text=True).stdout.split()[2]
    rows = [["server", "requests at once", "sums/s", "to Redis", "lowest–highest round"]]
    for (name, at_once), values in sorted(samples.items(), key=lambda each: (each[0][1], list(TITLES).index(each[0][0]))):
        rows.append([TITLES[name], at_once, f"{statistics.median(values):,.0f}", f"{ratio(samples, name, at_once):.2f}",
                     f"{min(values):,.0f}–{max(values):,.0f}"])
    targets = [["what", "target", *(f"{each} at once" for each in AT_ONCE)]]
    for name, limit in TARGETS.items():
        found = [ratio(samples, name, each) for each in AT_ONCE]
        targets.append([f"{TITLES[name]}, to {TITLES[BASES[name]]}", f"≥ {limit:.1f}",
                        *(f"{each:.2f}" if each >= limit else f"**{each:.2f}**" for each in found)])
    return f"""# Shared state beside Redis

Written by `scripts/bench --state --write`. Adding 1 to one number and getting the sum, over Unix sockets.

- {datetime.date.today()}, Linux {platform.release()}, {os.cpu_count()} cores, shared by client and server
- Redis {version}, which keeps nothing on disk here; {rounds} interleaved rounds of {seconds} s, shown are medians
- the client is [counter.cpp](../scripts/bench.d/counter.cpp) for both, with {CONNECTIONS} connections; over the channel one worker
  with [the library](library.md) adds {ADDS:,} times, beside the client with one connection to Redis

{markdown(targets)}

{markdown(rows)}

A ratio is the median of the ratios of each round. What is bold misses its target.
"""


def main(options):
    subprocess.run([ROOT / "scripts/setup", "build", "bench", "state"], check=True)
    subprocess.run([ROOT / "scripts/build", "release"], check=True)
    worker = build_worker()
    samples = {}
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        place = Path(directory)
        sockets = {name: place / f"{name}.sock" for name in ("redis", "http", "http-file", "channel")}
        errors = place / "errors"
        listen = ["-l", f"unix:{place}/listen", "-w", "1"]
        stack.enter_context(running([shutil.which("redis-server"), "--port", "0", "--unixsocket", str(sockets["redis"]),
                                     "--save", "", "--appendonly", "no", "--dir", directory]))
        quiet = {"stderr": subprocess.DEVNULL}
        stack.enter_context(running([BATON, *listen, "--control", sockets["http"]], **quiet))
        stack.enter_context(running([BATON, "-l", f"unix:{place}/listen2", "-w", "1", "--control", sockets["http-file"],
                                     "--state-file", place / "state.db"], **quiet))
        stack.enter_context(running([BATON, "-l", f"unix:{place}/listen3", "-w", "1", "--control", sockets["channel"],
                                     "--", worker], stderr=stack.enter_context(errors.open("w"))))
        for path in sockets.values():
            wait_until(lambda path=path: answers(path), path.name)
        wait_until(lambda: "ready" in errors.read_text(encoding="utf-8"), "the worker")
        for _ in range(options.rounds):
            one_round(sockets, errors, options.seconds, samples)
    text = report(samples, options.rounds, options.seconds)
    if options.write:
        WRITTEN.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
