"""Clients that send as fast as they are answered, a process each, and count what becomes of every request."""
import collections
import errno
import multiprocessing
import select
import socket
import time

PATIENCE_S = 5
FATES = ("answered", "refused", "reset", "empty", "timed out", "wrong")
FRESH = b"GET / HTTP/1.1\r\nHost: chaos\r\nConnection: close\r\n\r\n"
KEPT = b"GET / HTTP/1.1\r\nHost: chaos\r\n\r\n"


def connect(port):
    client = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def ask(client, request):
    """What became of it, and whether the connection goes on."""
    client.sendall(request)
    answer = b""
    while True:
        part = client.recv(4096)
        if not part:
            if not answer:
                return "empty", False
            break
        answer += part
        head, found, body = answer.partition(b"\r\n\r\n")
        if found and body.endswith(b"\n"):
            break
    head = answer.partition(b"\r\n\r\n")[0].lower()
    if not head.startswith(b"http/1.1 200 "):
        return "wrong", False
    return "answered", b"connection: close" not in head


def fate_of(error):
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, TimeoutError):
        return "timed out"
    if error.errno in (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED):
        return "reset"
    return "refused"


def run(port, keep_alive, stopping, results):
    counts, slowest, client = collections.Counter(), 0.0, None
    while not stopping.is_set():
        began = time.perf_counter()
        try:
            # A kept connection that the server has ended since the last answer is no request that failed.
            if client and select.select([client], [], [], 0)[0]:
                client.close()
                client = None
            client = client or connect(port)
            fate, goes_on = ask(client, KEPT if keep_alive else FRESH)
        except OSError as error:
            fate, goes_on = fate_of(error), False
        counts[fate] += 1
        slowest = max(slowest, time.perf_counter() - began)
        if client and not (goes_on and keep_alive):
            client.close()
            client = None
    results.put((counts, slowest * 1e3))


class Clients:
    """`fresh` clients with a new connection for every request, and `kept` with one for all."""

    def __init__(self, port, fresh, kept):
        # Not by fork from a process that holds sockets and threads of its own.
        context = multiprocessing.get_context("spawn")
        self.stopping, self.results = context.Event(), context.Queue()
        kinds = [False] * fresh + [True] * kept
        self.processes = [context.Process(target=run, args=(port, kind, self.stopping, self.results)) for kind in kinds]
        for process in self.processes:
            process.start()

    def stop(self):
        self.stopping.set()
        counts, slowest = collections.Counter(), 0.0
        for _ in self.processes:
            their_counts, their_slowest = self.results.get(timeout=4 * PATIENCE_S)
            counts += their_counts
            slowest = max(slowest, their_slowest)
        for process in self.processes:
            process.join()
        return {fate: counts[fate] for fate in FATES} | {"slowest": slowest}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.is_alive():
                process.kill()
