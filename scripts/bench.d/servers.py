"""The servers that scripts/bench and scripts/chaos compare: how each is started, known to be ready, observed and stopped."""
import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PARTS = Path(__file__).resolve().parent
DEADLINE_S = 20
CLIENTS = 64
TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def plain_environment():
    """Without what would configure a server behind the command line's back, or hand it somebody else's sockets."""
    foreign = ("BATON_", "NODE_", "NGINX", "LISTEN_", "NOTIFY_SOCKET")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


class Server:
    """One running server and all its processes."""

    def __init__(self, name, workers, options, folder, flags):
        self.name = name
        self.workers = workers
        self.port = free_port()
        self.log_path = folder / "log"
        command = self.command(options, folder, flags)
        with open(self.log_path, "wb") as log:
            self.started = time.perf_counter()
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=plain_environment(), start_new_session=True)

    def command(self, options, folder, flags):
        if self.name == "baton":
            where = ["-l", f"127.0.0.1:{self.port}", "--control", str(folder / "control.sock")]
            return [options.baton, *where, "-w", str(self.workers), *flags]
        if self.name == "node":
            return ["node", str(PARTS / "master.js"), str(self.port), str(self.workers)]
        template = (PARTS / f"{self.name}.conf").read_text()
        config = folder / f"{self.name}.conf"
        config.write_text(template.replace("@WORKERS@", str(self.workers)).replace("@PORT@", str(self.port)))
        if self.name == "haproxy":
            return ["haproxy", "-W", "-db", "-f", str(config)]
        return ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(config)]

    def failure(self, what):
        tail = self.log_path.read_bytes()[-2000:].decode(errors="replace").strip()
        return BenchError(f"{self.name} (port {self.port}) {what}; the end of its output:\n{tail or '(none)'}")

    def stop(self):
        handles = []
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                handles.append(os.pidfd_open(pid))
        self.process.send_signal(signal.SIGTERM)
        if not all_ended(handles):
            print(f"{Path(sys.argv[0]).name}: {self.name} did not stop within {DEADLINE_S} s and is killed", file=sys.stderr)
        for handle in handles:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)
        # Workers of a master that crashed are in no list. Until it is reaped, its id can't have become another group's.
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE_S)

    def is_gone(self):
        """Whether the master has ended. It is left unreaped, so that its id stays its own."""
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def connect(self):
        # From its own address, a connect to a port that nobody listens on yet can meet itself, and so take the port.
        return socket.create_connection(("127.0.0.1", self.port), DEADLINE_S, source_address=("127.0.0.2", 0))

    def first_answer_ms(self):
        """Asks in a tight loop from the moment of the start until a whole answer has come."""
        while time.perf_counter() - self.started < DEADLINE_S:
            with contextlib.suppress(OSError), self.connect() as client:
                if ask([client]):
                    return (time.perf_counter() - self.started) * 1e3
            if self.is_gone():
                raise self.failure("ended while starting")
        raise self.failure(f"gave no answer in {DEADLINE_S} s")

    def await_workers(self):
        """Until every worker has answered: a load begun earlier would measure fewer of them."""
        self.first_answer_ms()
        answered = set()
        while len(answered) < self.workers:
            # Opened together, because some servers give a lone connection always to the same worker.
            with contextlib.ExitStack() as stack:
                answered |= ask([stack.enter_context(self.connect()) for _ in range(CLIENTS)])
            if time.perf_counter() - self.started > DEADLINE_S:
                raise self.failure(f"has had answers from {len(answered)} of {self.workers} workers in {DEADLINE_S} s")

    def await_idle(self, descriptors):
        """Until the connections of a load are closed, which takes a server a little longer than the client."""
        deadline = time.perf_counter() + DEADLINE_S
        while self.descriptors() > descriptors:
            if time.perf_counter() > deadline:
                raise self.failure(f"holds {self.descriptors()} descriptors after a load, {descriptors} before")

    def await_log(self, text, count):
        """Until the log holds `text` that many times."""
        deadline = time.perf_counter() + DEADLINE_S
        while self.log_path.read_bytes().count(text) < count:
            if time.perf_counter() > deadline or self.is_gone():
                raise self.failure(f"has not said \"{text.decode()}\" {count} times")
            time.sleep(0.001)

    def children(self):
        return set(self.pids()) - {self.process.pid}

    def await_children(self, wanted):
        """Until `wanted` holds of the set of its children."""
        deadline = time.perf_counter() + DEADLINE_S
        while not wanted(self.children()):
            if time.perf_counter() > deadline:
                raise self.failure(f"has the children {self.children()}")
            time.sleep(0.001)

    def pids(self):
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            with contextlib.suppress(OSError):
                children = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
                found.append(pid)
                waiting += map(int, " ".join(children).split())
        return found

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids())

    def cpu_us(self):
        """Processor time by pid."""
        times = {}
        for pid in self.pids():
            # The name may hold anything, so fields are counted from its closing parenthesis.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            times[pid] = (int(fields[11]) + int(fields[12])) * TICK_US
        return times

    def memory_mib(self):
        text = "".join(Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids())
        return {key: sum(map(int, re.findall(rf"^{key}:\s+(\d+)", text, re.M))) / 1024 for key in ("Pss", "Rss")}


def ask(clients):
    """The pids that answered on these connections."""
    for client in clients:
        client.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
    answers = (b"".join(iter(lambda: client.recv(4096), b"")) for client in clients)
    return {int(found[1]) for answer in answers if (found := re.match(rb"HTTP/1.1 200 .*pid is (\d+)\n", answer, re.S))}


def all_ended(handles):
    poller = select.poll()
    for handle in handles:
        poller.register(handle, select.POLLIN)
    deadline = time.perf_counter() + DEADLINE_S
    left = set(handles)
    while left and (rest := deadline - time.perf_counter()) > 0:
        for handle, _ in poller.poll(rest * 1e3):
            poller.unregister(handle)
            left.remove(handle)
    return not left


@contextlib.contextmanager
def running(name, workers, options, flags=()):
    with tempfile.TemporaryDirectory(prefix="baton-bench-") as folder:
        server = Server(name, workers, options, Path(folder), flags)
        try:
            yield server
        finally:
            server.stop()
