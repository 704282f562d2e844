"""One worker of eight is slow: what that does to the others' clients under each policy that hands connections over."""
import load
from commands import PARTS
from tables import Columns

PART = "slow"
WORKERS = 8
CLIENTS = 8
NAMES = ("baton-roundrobin", "baton-leastconn")


def names(run):
    return [name for name in NAMES if name in run.options.only]


def measure(run):
    for number, name in run.rounds(PART, names(run), run.options.spreads):
        flags = ["--", str(PARTS / "slow.sh"), run.options.baton, str(PARTS / "slow.js")]
        with run.server(PART, name, WORKERS, flags=flags) as server:
            server.await_workers()
            with server.same_processes():
                told = load.wrk(server, 2 if run.options.quick else 5, "new", 1, CLIENTS)
            if told["errors"]:
                run.wrong(PART, name, f"{told['errors']} errors under load")
            for key in ("p50", "p99"):
                run.add(f"{PART}.{key}", name, number, told[key] / 1e3)
            run.add(f"{PART}.rate", name, number, told["requests"] / told["us"] * 1e6)


def chapter(run):
    if not names(run):
        return None
    columns = Columns(run, names(run))
    return "\n\n".join([
        "## One worker is slow",
        f"{WORKERS} workers, of which one, a Node script, sleeps 50 ms before each answer. {CLIENTS} clients, a new connection "
        "for each request.",
        columns.table({"p50, ms": columns.median(f"{PART}.p50", 2), "p99, ms": columns.median(f"{PART}.p99", 2),
                       "p99 to roundrobin's": columns.ratio(f"{PART}.p99", "baton-roundrobin"),
                       "requests/s": columns.median(f"{PART}.rate", 0)})])
