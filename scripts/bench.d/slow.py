"""One worker of eight is slow: what that does to the others' clients under each policy that hands connections over."""
from commands import PARTS
from dialer import PERCENTILES, dial
from tables import Columns

PART = "slow"
WORKERS = 8
CONNECTIONS, QUICK_CONNECTIONS = 5000, 2000
NAMES = ("baton-roundrobin", "baton-leastconn")


def names(run):
    return [name for name in NAMES if name in run.options.only]


def measure(run):
    connections = QUICK_CONNECTIONS if run.options.quick else CONNECTIONS
    for number, name in run.rounds(PART, names(run), run.options.spreads):
        flags = ["--dialect", "channel", "--", str(PARTS / "slow.sh"), run.options.baton, str(PARTS / "slow.js")]
        with run.server(PART, name, WORKERS, flags=flags) as server:
            server.await_workers()
            with server.same_processes():
                for key, us in dial(server, "few", connections).us.items():
                    run.add(f"{PART}.{key}", name, number, us / 1e3)


def chapter(run):
    if not names(run):
        return None
    columns = Columns(run, names(run))
    return "\n\n".join([
        "## One worker is slow",
        f"{WORKERS} workers, of which one, a Node script, sleeps 50 ms before each answer. 8 clients, a new connection for "
        "each request. Not from wrk, which corrects its percentiles: see below.",
        columns.table({f"{key}, ms": columns.median(f"{PART}.{key}", 2) for key in PERCENTILES}
                      | {"p99 to roundrobin's": columns.ratio(f"{PART}.p99", "baton-roundrobin")})])
