"""Load by wrk: what a request costs each server, how many it answers, and how late."""
import json
import os
import re
import subprocess

import others
import proc
from commands import HANDING, PARTS, TITLES, UNDER, policy_of
from servers import CLIENTS, DEADLINE_S
from tables import Columns

PART = "load"
DEPTH = 16
KINDS = {"keep": "on kept connections", "new": "on a new connection each", "pipelined": f"pipelined, {DEPTH} at a time"}
# Of the loads whose percentiles are any good: wrk's correction takes the answers of one pipeline for a client's waits.
TIMED = ("keep", "new")
ERRORS = ("connect", "read", "write", "timeout", "status")


def wrk(server, seconds, kind, threads):
    """What load.lua tells."""
    header = ["-H", "Connection: close"] if kind == "new" else []
    depth = DEPTH if kind == "pipelined" else 1
    command = ["wrk", f"-t{threads}", f"-c{CLIENTS}", f"-d{seconds}s", "-s", PARTS / "load.lua", *header,
               f"http://127.0.0.1:{server.port}/", "--", str(depth)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + DEADLINE_S, check=False,
                          env=os.environ | {"BENCH_PORTS": str(len(server.ports))})
    found = re.search(r"^\{.*}$", done.stdout, re.M)
    if done.returncode != 0 or not found:
        raise server.failure(f"could not be measured, wrk said: {done.stdout}{done.stderr}".strip())
    told = json.loads(found[0])
    if told["requests"] == 0:
        raise server.failure(f"answered nothing in {seconds} s of load, wrk said: {done.stdout}".strip())
    return told | {"errors": sum(told[key] for key in ERRORS)}


def check_answers(server, told, kind):
    """wrk counts whatever looks like HTTP and is no error. These are to be the answers that were asked for."""
    probe = server.answer(close=kind == "new")
    mean = told["bytes"] / told["requests"]
    # A pid can have a digit more, and what was under way at the end counts as bytes alone.
    if abs(mean - len(probe)) > 0.05 * len(probe):
        raise server.failure(f"sent {mean:.0f} bytes an answer under load, and {len(probe)} when asked alone: {probe!r}")


def load(server, seconds, kind, threads):
    with server.same_processes():
        shares = others.Shares(server)
        told = wrk(server, seconds, kind, threads)
        shares.take()
    check_answers(server, told, kind)
    requests = told["requests"]
    return {
        "rate": requests / told["us"] * 1e6,
        "cpu": shares.cpu / requests,
        "master": shares.spent[server.process.pid] / requests,
        "client": shares.client / requests,
        "errors": told["errors"],
        "server_share": 100 * shares.cpu / shares.whole,
        "client_share": 100 * shares.client / shares.whole,
        "others": shares.others,
    } | {key: told[key] / 1e3 for key in ("p50", "p99", "p99.9")}


def measure(run):
    options = run.options
    for number, name in run.rounds(PART, options.only, options.rounds):
        with run.server(PART, name, options.workers) as server:
            server.await_workers()
            if name.startswith("node"):
                wrk(server, 1, "keep", options.threads)  # unmeasured: Node compiles what it runs often
            for kind in KINDS:
                measured = load(server, options.seconds, kind, options.threads)
                run.add(f"{PART}.{others.METRIC}", name, (number, kind), measured.pop("others"))
                for key, value in measured.items():
                    run.add(f"{PART}.{kind}.{key}", name, number, value)
                if measured["errors"]:
                    run.wrong(PART, name, f"errors under load ({KINDS[kind]}): see the table")
            server.await_idle()
            memory = proc.memory_bytes(server.pids())
            for key in ("Pss", "Rss"):
                run.add(f"{PART}.{key}", name, number, memory[key] / 2**20)


# The target of requests/s: how many times nginx's.
GAIN = 1.05


def dilution(run, metric):
    """What a cheaper server can gain in requests/s, where the client takes its share of the same processors."""
    server, client = run.median(metric + "cpu", "nginx"), run.median(metric + "client", "nginx")
    if not server:
        return None
    both = server + client
    return (f"Of what a request to nginx costs here, {client / both:.0%} is wrk's. On processors that both share, {GAIN} "
            f"times nginx's requests/s takes a server of {(both / GAIN - client) / server:.2f} times its CPU, and one that "
            f"costs nothing has {both / client:.2f} times.")


def loads(run, kind, title):
    columns, metric = Columns(run), f"{PART}.{kind}."
    table = columns.table({
        "requests/s": columns.median(metric + "rate", 0),
        "to nginx": columns.ratio(metric + "rate", "nginx"),
        "server CPU µs per request": columns.median(metric + "cpu", 2),
        "to nginx ": columns.ratio(metric + "cpu", "nginx"),
        "to the floor": columns.ratio(metric + "cpu", "floor"),
        "lowest–highest round": columns.range(metric + "cpu", 2),
        "client CPU µs per request": columns.median(metric + "client", 2),
        "server / client, % of the machine": columns.joined([metric + "server_share", metric + "client_share"], 0),
        "errors": columns.total(metric + "errors"),
    })
    source = "wrk has one address, and so one worker under `source`." if "baton-source" in run.options.only else None
    return [f"## Short answers {title}", source, dilution(run, metric), table]


def latencies(run):
    columns = Columns(run)
    return ["## How late the answers are", "p50 / p99 / p99.9 in the loads above, ms.",
            columns.table({KINDS[kind]: columns.joined([f"{PART}.{kind}.{key}" for key in ("p50", "p99", "p99.9")], 2)
                           for kind in TIMED})]


def hands(name):
    return name == "node-cluster" or policy_of(name) in HANDING or name.removeprefix(UNDER) in HANDING


def handing(run):
    """The new connections of the load are as many handed over, since these servers do it with each."""
    columns, metric = Columns(run, list(filter(hands, run.options.only))), f"{PART}.new."
    if not columns.names:
        return []
    return ["## Handing connections over",
            "Of the load with a new connection each. One master, on one processor of its own, could hand over at most as many "
            "in a second as its own CPU per connection allows.",
            columns.table({
                "handed over/s": columns.median(metric + "rate", 0),
                "master's CPU µs per connection": columns.median(metric + "master", 2),
                "one master at most/s": columns.per_second(metric + "master"),
                "server CPU µs per connection": columns.median(metric + "cpu", 2),
                f"to {TITLES['node-cluster']}": columns.ratio(metric + "cpu", "node-cluster")})]


def resting(run):
    columns = Columns(run)
    return ["## Resting after load", columns.table({
        "PSS, MiB": columns.median(f"{PART}.Pss", 1), "to nginx": columns.ratio(f"{PART}.Pss", "nginx"),
        "RSS, MiB": columns.median(f"{PART}.Rss", 1), "to nginx ": columns.ratio(f"{PART}.Rss", "nginx")})]


def chapter(run):
    text = [line for kind, title in KINDS.items() for line in loads(run, kind, title)]
    return "\n\n".join(filter(None, text + handing(run) + latencies(run) + resting(run)))
