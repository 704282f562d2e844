"""How much of the machine goes to those that have no part in a measurement."""
import os
import resource
import time
from statistics import median

import proc

METRIC = "others"
# Beyond it, what is measured is how the scheduler shares the machine out.
MOST = 0.1


def client_cpu_us():
    """Of all clients that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1e6


class Shares:
    """The machine from its making on; `take` ends it."""

    def __init__(self, server):
        self.server = server
        self.before = proc.cpu_us(server.pids())
        self.machine, self.client, self.began = proc.machine_us(), client_cpu_us(), time.perf_counter()

    def take(self):
        took = time.perf_counter() - self.began
        self.client, self.machine = client_cpu_us() - self.client, proc.machine_us() - self.machine
        self.spent = {pid: us - self.before[pid] for pid, us in proc.cpu_us(self.server.pids()).items()}
        self.cpu = sum(self.spent.values())
        self.whole = took * 1e6 * os.cpu_count()
        self.others = max(self.machine - self.cpu - self.client, 0) / self.whole


def shares(run, part):
    """In the middle, and at most; None where the part was not measured."""
    values = [value for name in run.options.only for value in run.values(f"{part}.{METRIC}", name)]
    return (median(values), max(values)) if values else None


def told(run, parts):
    """A clause on each part that was measured."""
    found = {part: shares(run, part) for part in parts}
    return ", ".join(f"{share[0]:.0%} during {part} in the median and {share[1]:.0%} at most"
                     for part, share in found.items() if share)


def too_many(run, parts):
    return any((share := shares(run, part)) and share[0] > MOST for part in parts)
