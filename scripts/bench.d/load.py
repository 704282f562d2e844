"""Load by wrk: what a request costs each server, how many it answers, and how late."""
import json
import os
import re
import resource
import subprocess
import time
from statistics import median

import proc
from commands import PARTS
from servers import CLIENTS, DEADLINE_S
from tables import Columns

PART = "load"
DEPTH = 16
KINDS = {"keep": "on kept connections", "new": "on a new connection each", "pipelined": f"pipelined, {DEPTH} at a time"}
ERRORS = ("connect", "read", "write", "timeout", "status")


def client_cpu_us():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1e6


def wrk(server, seconds, kind, threads, clients=CLIENTS):
    """What load.lua tells, and the processor time of wrk itself."""
    header = ["-H", "Connection: close"] if kind == "new" else []
    depth = DEPTH if kind == "pipelined" else 1
    command = ["wrk", f"-t{threads}", f"-c{clients}", f"-d{seconds}s", "-s", PARTS / "load.lua", *header,
               f"http://127.0.0.1:{server.port}/", "--", str(depth)]
    before = client_cpu_us()
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + DEADLINE_S, check=False)
    found = re.search(r"^\{.*}$", done.stdout, re.M)
    if done.returncode != 0 or not found:
        raise server.failure(f"could not be measured, wrk said: {done.stdout}{done.stderr}".strip())
    told = json.loads(found[0])
    if told["requests"] == 0:
        raise server.failure(f"answered nothing in {seconds} s of load, wrk said: {done.stdout}".strip())
    return told | {"client": client_cpu_us() - before, "errors": sum(told[key] for key in ERRORS)}


def check_answers(server, told, kind):
    """wrk counts whatever looks like HTTP and is no error. These are to be the answers that were asked for."""
    probe = server.answer(close=kind == "new")
    mean = told["bytes"] / told["requests"]
    # A pid can have a digit more, and what was under way at the end counts as bytes alone.
    if abs(mean - len(probe)) > 0.05 * len(probe):
        raise server.failure(f"sent {mean:.0f} bytes an answer under load, and {len(probe)} when asked alone: {probe!r}")


def load(server, seconds, kind, threads):
    with server.same_processes():
        machine, began, before = proc.machine_us(), time.perf_counter(), proc.cpu_us(server.pids())
        told = wrk(server, seconds, kind, threads)
        cpu = sum(proc.cpu_us(server.pids()).values()) - sum(before.values())
        machine, took = proc.machine_us() - machine, time.perf_counter() - began
    check_answers(server, told, kind)
    requests = told["requests"]
    return {
        "rate": requests / told["us"] * 1e6,
        "cpu": cpu / requests,
        "client": told["client"] / requests,
        "errors": told["errors"],
        "others": max(machine - cpu - told["client"], 0) / (took * 1e6 * os.cpu_count()),
    } | {key: told[key] / 1e3 for key in ("p50", "p99", "p99.9")}


def measure(run):
    options = run.options
    for number, name in run.rounds(PART, options.only, options.rounds):
        with run.server(PART, name, options.workers) as server:
            server.await_workers()
            if name.startswith("node"):
                wrk(server, 1, "keep", options.threads)  # unmeasured: Node compiles what it runs often
            for kind in KINDS:
                for key, value in load(server, options.seconds, kind, options.threads).items():
                    run.add(f"{PART}.{kind}.{key}", name, number, value)
                    if key == "errors" and value:
                        run.wrong(PART, name, f"errors under load ({KINDS[kind]}): see the table")
            server.await_idle()
            memory = proc.memory_bytes(server.pids())
            for key in ("Pss", "Rss"):
                run.add(f"{PART}.{key}", name, number, memory[key] / 2**20)


def others(run):
    """Which part of the machine went to those that have no part in the loads: in the middle, and at most."""
    values = [value for kind in KINDS for name in run.options.only for value in run.values(f"{PART}.{kind}.others", name)]
    return (median(values), max(values)) if values else None


def chapter(run):
    columns = Columns(run)
    text = []
    for kind, title in KINDS.items():
        metric = f"{PART}.{kind}."
        text += [f"## Short answers {title}"]
        if "baton-source" in run.options.only:
            text += ["wrk has one address, and so one worker under `source`."]
        text += [columns.table({
            "requests/s": columns.median(metric + "rate", 0),
            "to nginx": columns.ratio(metric + "rate", "nginx"),
            "server CPU µs per request": columns.median(metric + "cpu", 2),
            "to nginx ": columns.ratio(metric + "cpu", "nginx"),
            "to the floor": columns.ratio(metric + "cpu", "floor"),
            "lowest–highest round": columns.range(metric + "cpu", 2),
            "client CPU µs per request": columns.median(metric + "client", 2),
            "errors": columns.total(metric + "errors"),
        })]
    spans = {title: columns.joined([f"{PART}.{kind}.{key}" for key in ("p50", "p99", "p99.9")], 2)
             for kind, title in KINDS.items()}
    text += ["## How late the answers are", "p50 / p99 / p99.9 in the loads above, ms. Pipelined, of all 16 together.",
             columns.table(spans)]
    text += ["## Resting after load", columns.table({
        "PSS, MiB": columns.median(f"{PART}.Pss", 1), "to nginx": columns.ratio(f"{PART}.Pss", "nginx"),
        "RSS, MiB": columns.median(f"{PART}.Rss", 1), "to nginx ": columns.ratio(f"{PART}.Rss", "nginx")})]
    return "\n\n".join(text)
