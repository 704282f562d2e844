"""One running server of scripts/bench and scripts/chaos: how it is known to be ready, asked, observed and stopped."""
import contextlib
import itertools
import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import proc
from commands import HANDING, command, policy_of

DEADLINE_S = 20
CLIENTS = 64
USUAL_CONNECTIONS = 768  # Debian's nginx.conf


class BenchError(Exception):
    pass


def free_ports(count):
    """So many in a row, outside the range that clients get theirs from: after a load that is full of ports that nobody may
    listen on for a minute."""
    clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    for first in random.sample(range(1024, clients - count), 100):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                probe = stack.enter_context(socket.socket())
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
            return range(first, first + count)
    raise BenchError(f"found no {count} free ports in a row below {clients}")


def plain_environment():
    """Without what would configure a server behind the command line's back, or hand it somebody else's sockets."""
    foreign = ("BATON_", "NODE_", "NGINX", "LISTEN_", "NOTIFY_SOCKET")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


class Server:
    """One running server and all its processes."""

    def __init__(self, name, workers, options, folder, flags, connections):
        self.name = name
        self.workers = workers
        self.options = options
        self.connections = connections
        # Of all but own-port there is one.
        self.ports = free_ports(workers if policy_of(name) == "own-port" else 1)
        self.port = self.ports[0]
        self.next_port = itertools.cycle(self.ports)
        self.log_path = folder / "log"
        self.control = folder / "control.sock"
        self.was_killed = False
        self.addresses = itertools.cycle(range(2, 250))
        with open(self.log_path, "wb") as log:
            self.started = time.perf_counter()
            self.process = subprocess.Popen(command(self, folder, flags), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=plain_environment(), start_new_session=True)

    def failure(self, what):
        tail = self.log_path.read_bytes()[-2000:].decode(errors="replace").strip()
        return BenchError(f"{self.name} (port {self.port}) {what}; the end of its output:\n{tail or '(none)'}")

    def stop(self):
        handles = []
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                handles.append(os.pidfd_open(pid))
        self.process.send_signal(signal.SIGTERM)
        self.was_killed = not all_ended(handles)
        if self.was_killed:
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
        # From its own address, a connect to a port that nobody listens on yet can meet itself, and so take the port. And
        # each from another, since some servers choose the worker by it.
        address = f"127.0.0.{next(self.addresses)}"
        return socket.create_connection(("127.0.0.1", next(self.next_port)), DEADLINE_S, source_address=(address, 0))

    def answer(self, close):
        """The bytes of one answer, to what wrk asks."""
        header = b"Connection: close\r\n" if close else b""
        with self.connect() as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n" + header + b"\r\n")
            if not close:
                client.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        if not re.match(rb"HTTP/1.1 200 .*pid is [^\n]+\n", answer, re.S):
            raise self.failure(f"answers {answer!r}")
        return answer

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
        if policy_of(self.name):
            self.check_policy(policy_of(self.name))

    def check_policy(self, policy):
        """By who holds the listening sockets: a name in the command line proves nothing."""
        deadline = time.perf_counter() + 2
        while True:
            sockets = proc.listeners(self.ports)
            # The files of baton's master: whoever hands connections over must hold the listener, and nobody else may.
            handing = bool(sockets & proc.sockets(self.process.pid))
            each = policy in ("reuseport", "own-port")
            is_number_right = len(sockets) >= self.workers if each else len(sockets) == 1
            if is_number_right and handing == (policy in HANDING):
                return
            if time.perf_counter() > deadline:
                raise self.failure(f"is asked for the policy {policy}, and has {len(sockets)} listening socket(s), of which "
                                   f"its master holds {'some' if handing else 'none'}")
            time.sleep(0.01)

    def await_idle(self):
        """Until the connections of a load are closed, which takes a server a little longer than the client."""
        deadline = time.perf_counter() + DEADLINE_S
        while left := proc.connections(self.ports):
            if time.perf_counter() > deadline:
                raise self.failure(f"holds connections {DEADLINE_S} s after a load: {', '.join(left)}")
            time.sleep(0.01)

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
        return proc.tree(self.process.pid)

    @contextlib.contextmanager
    def same_processes(self):
        """What a process that ends takes along is lost: its time, and a lower cost would be its reward."""
        before = set(self.pids())
        yield
        if set(self.pids()) != before:
            raise self.failure(f"had the processes {sorted(before)} before a load and {sorted(self.pids())} after it")

    def accepts(self):
        """Connections accepted so far, and accepts that found none; None of a server that does not tell."""
        if self.name == "floor":
            said = self.log_path.read_bytes().count(b"accepted ")
            self.process.send_signal(signal.SIGUSR1)
            self.await_log(b"misses ", said + 1)
            counts = re.findall(rb"^accepted (\d+) misses (\d+)$", self.log_path.read_bytes(), re.M)[-1]
            return tuple(map(int, counts))
        if policy_of(self.name):
            # An older baton has none.
            if totals := self.status().get("totals"):
                return totals["accepted"], totals["accept_misses"]
        return None

    def status(self):
        """baton's, from its control socket."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE_S)
            client.connect(str(self.control))
            client.sendall(b"GET /status HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            head, _, body = b"".join(iter(lambda: client.recv(65536), b"")).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise self.failure(f"answers its status with: {head.decode(errors='replace')}")
        return json.loads(body)


def ask(clients):
    """Who answered on these connections: the pid, as text; a server of threads says more."""
    for client in clients:
        client.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
    answers = (b"".join(iter(lambda: client.recv(4096), b"")) for client in clients)
    found = (re.match(rb"HTTP/1.1 200 .*pid is ([^\n]+)\n", answer, re.S) for answer in answers)
    return {answer[1].decode() for answer in found if answer}


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
def running(name, workers, options, flags=(), connections=USUAL_CONNECTIONS):
    """`connections` is what a worker of nginx makes room for, and pays for with memory, at its start."""
    with tempfile.TemporaryDirectory(prefix="baton-bench-") as folder:
        server = Server(name, workers, options, Path(folder), flags, connections)
        try:
            yield server
        finally:
            server.stop()
