"""How often the kernel wakes a server's processes for a connection, and how often for nothing."""
import load
import proc
from commands import balancing
from dialer import dial
from tables import Columns

PART = "wake-ups"
WORKERS = 8
CONNECTIONS = 2000
KINDS = {"one": "one at a time", "load": "64 at a time, as fast as they are answered"}


def one_at_a_time(server, _):
    addresses = CONNECTIONS if server.name == "baton-source" else 1
    return sum(dial(server, "one", CONNECTIONS, addresses).answered.values()), 0


def under_load(server, options):
    told = load.wrk(server, 1 if options.quick else 2, "new", options.threads)
    return told["requests"], told["errors"]


def measure_kind(run, server, kind, action, number):
    with server.same_processes():
        accepts, wakeups = server.accepts(), proc.wakeups(server.pids())
        connections, errors = action(server, run.options)
        wakeups = proc.wakeups(server.pids()) - wakeups
    run.add(f"{PART}.{kind}.wakeups", server.name, number, wakeups / connections)
    if errors:
        run.wrong(PART, server.name, f"{errors} errors under load")
    if accepts is None:
        return
    accepted, misses = (now - before for now, before in zip(server.accepts(), accepts))
    # Those under way at the end of a load were accepted, and never answered.
    if abs(accepted - connections) > 0.01 * connections + load.CLIENTS:
        raise server.failure(f"counts {accepted} connections, and the client {connections}")
    run.add(f"{PART}.{kind}.misses", server.name, number, misses / connections)


def measure(run):
    for number, name in run.rounds(PART, balancing(run.options.only), run.options.spreads):
        with run.server(PART, name, WORKERS) as server:
            server.await_workers()
            for kind, action in (("one", one_at_a_time), ("load", under_load)):
                measure_kind(run, server, kind, action, number)


def chapter(run):
    columns = Columns(run, balancing(run.options.only))
    cells = {f"wake-ups, {title}": columns.median(f"{PART}.{kind}.wakeups", 2) for kind, title in KINDS.items()}
    cells |= {f"misses, {title}": columns.median(f"{PART}.{kind}.misses", 4) for kind, title in KINDS.items()}
    return "\n\n".join([
        "## Wake-ups per connection",
        f"{WORKERS} workers, a new connection for each request. Wake-ups are of all the server's processes. A miss is an "
        "accept that finds nothing, because somebody else was quicker; only the floor and baton tell.",
        columns.table(cells)])
