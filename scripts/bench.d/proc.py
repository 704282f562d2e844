"""What the kernel tells of processes: their time, their wake-ups, their memory and their sockets."""
import contextlib
import itertools
import os
import re
import subprocess
from pathlib import Path


def has_ended(pid):
    """Whether it only waits for its parent to notice."""
    return re.search(r"^State:\s+[ZX]", Path(f"/proc/{pid}/status").read_text(), re.M) is not None


def tree(pid):
    """The process and all that descend from it, as far as they live."""
    found, waiting = [], [pid]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            for task in tasks(pid):
                with contextlib.suppress(OSError):  # a thread may end while its process lives
                    waiting += map(int, (task / "children").read_text().split())
            if not has_ended(pid):
                found.append(pid)
    return found


def tasks(pid):
    return Path(f"/proc/{pid}/task").iterdir()


def cpu_us(pids):
    """User and system time by pid. /proc/PID/stat has the same, but in hundredths of a second."""
    return {pid: sum(int((task / "schedstat").read_text().split()[0]) for task in tasks(pid)) / 1e3 for pid in pids}


def machine_us():
    """What all processors have spent so far, on whatever it was, and what the hypervisor has kept from them."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9])
    return (user + nice + system + irq + softirq + steal) * 1e6 / os.sysconf("SC_CLK_TCK")


def wakeups(pids):
    """How often they went to sleep, and so were woken."""
    texts = ((task / "status").read_text() for pid in pids for task in tasks(pid))
    return sum(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1]) for text in texts)


def memory_bytes(pids):
    """The sum over the processes, by the names that smaps has."""
    sums = {}
    for pid in pids:
        for key, kib in re.findall(r"^(\w+):\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M):
            sums[key] = sums.get(key, 0) + int(kib) * 1024
    return sums


def sockets(pid):
    """The inodes of the sockets that it holds."""
    held = set()
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            if found := re.match(r"socket:\[(\d+)]", os.readlink(f"/proc/{pid}/fd/{descriptor}")):
                held.add(found[1])
    return held


def listeners(ports):
    """The inodes of the IPv4 sockets that listen on these ports."""
    found = set()
    with open("/proc/net/tcp", encoding="ascii") as rows:
        next(rows)
        # They come first. What follows can be a hundred thousand connections.
        for row in itertools.takewhile(lambda row: row[3] == "0A", map(str.split, rows)):
            if int(row[1].partition(":")[2], 16) in ports:
                found.add(row[9])
    return found


def connections(ports):
    """Those that the side with one of these ports still has to close."""
    # /proc/net/tcp would be read through all that wait for the end of TIME_WAIT.
    command = ["ss", "-tnH", "state", "established", "state", "close-wait",
               f"sport >= :{ports[0]} and sport <= :{ports[-1]}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
