"""User memory of idle connections."""
import resource

import proc
from dialer import dial, idle_connections
from servers import BenchError
from tables import Columns

PART = "memory"
CONNECTIONS = 7500
# Of descriptors, a server of one process needs the most.
DESCRIPTORS = CONNECTIONS + 500


def raise_descriptor_limit():
    """For the servers, which inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        raise BenchError(f"the hard limit of open files is {hard}; the part memory needs {DESCRIPTORS} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def user_memory(server):
    memory = proc.memory_bytes(server.pids())
    return memory["Pss_Anon"] + memory["Pss_Shmem"]


def measure(run):
    raise_descriptor_limit()
    for number, name in run.rounds(PART, run.options.only, run.options.memories):
        with run.server(PART, name, run.options.workers, connections=DESCRIPTORS) as server:
            server.await_workers()
            # What the first connections bring up is not theirs.
            dial(server, "many", 500, 500)
            with server.same_processes():
                before = user_memory(server)
                with idle_connections(server, CONNECTIONS, 250):
                    run.add(f"{PART}.bytes", name, number, (user_memory(server) - before) / CONNECTIONS)


def chapter(run):
    columns = Columns(run)
    return "\n\n".join([
        "## Memory of idle connections",
        f"{CONNECTIONS:,} kept connections that have each been answered once, {run.options.workers} workers: the growth of "
        "anonymous and shared memory of all processes, for each connection.",
        columns.table({"bytes per connection": columns.median(f"{PART}.bytes", 0),
                       "to nginx": columns.ratio(f"{PART}.bytes", "nginx"),
                       "lowest–highest round": columns.range(f"{PART}.bytes", 0)})])
