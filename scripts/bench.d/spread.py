"""Evenness: how the connections of four patterns fall on the workers."""
import others
from commands import balancing
from dialer import dial
from tables import Columns

PART = "evenness"
WORKERS = 8
CONNECTIONS = 800
# Those that are over in some 30 ms are repeated: another process that runs for a moment can keep a worker from its turn.
PATTERNS = {"one": ("one at a time", 1), "paced": ("one each ms, held", 1), "burst": ("as fast as one thread can, held", 5),
            "many": ("64 at a time", 5)}


def busiest_to_mean(answered):
    return max(answered.values()) / (sum(answered.values()) / WORKERS)


def measure(run):
    for number, name in run.rounds(PART, balancing(run.options.only), run.options.spreads):
        # A client address each, where the worker is chosen by it.
        addresses = CONNECTIONS if name == "baton-source" else 1
        with run.server(PART, name, WORKERS, connections=2 * CONNECTIONS) as server:
            server.await_workers()
            with server.same_processes():
                shares = others.Shares(server)
                for pattern, (_, times) in PATTERNS.items():
                    for time in range(times):
                        answered = dial(server, pattern, CONNECTIONS, addresses).answered
                        run.add(f"{PART}.{pattern}", name, (number, time), busiest_to_mean(answered))
                shares.take()
            run.add(f"{PART}.{others.METRIC}", name, number, shares.others)


def chapter(run):
    columns = Columns(run, balancing(run.options.only))
    cells = {}
    for pattern, (title, _) in PATTERNS.items():
        middle, spans = columns.median(f"{PART}.{pattern}", 2), columns.range(f"{PART}.{pattern}", 2)
        cells[title] = {name: f"{middle[name]} ({spans[name]})" for name in columns.names}
    return "\n\n".join([
        "## How evenly connections fall on the workers",
        f"{CONNECTIONS} connections over {WORKERS} workers: the busiest worker's share ÷ the mean, and in brackets the "
        f"lowest and the highest of all rounds. {WORKERS}.00 is one worker with everything.",
        columns.table(cells)])
