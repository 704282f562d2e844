"""The client of scripts/bench that opens connections in patterns: dialer.cpp, run and understood."""
import collections
import contextlib
import re
import subprocess

from servers import DEADLINE_S

# Counts by text, counts by reason, and how long the answers took: the microseconds of PERCENTILES.
Dialed = collections.namedtuple("Dialed", "answered lost us")
PERCENTILES = ("p50", "p99", "p99.9")


def parsed(text):
    lines = re.findall(r"^(answered|lost) (\d+) (.*)$", text, re.M)
    counts = ({what: int(count) for word, count, what in lines if word == wanted} for wanted in ("answered", "lost"))
    waits = re.search(r"^us (\d+) (\d+) (\d+)$", text, re.M)
    return Dialed(*counts, dict(zip(PERCENTILES, map(int, waits.groups()))) if waits else {})


def counted(dialed):
    return sum(dialed.answered.values()) + sum(dialed.lost.values())


def command(server, pattern, count, addresses):
    return [server.options.dialer, str(server.port), pattern, str(count), str(addresses)]


def dial(server, pattern, count, addresses=1):
    """A connection that was lost is a failure: what is left of a pattern is another pattern."""
    done = subprocess.run(command(server, pattern, count, addresses), capture_output=True, text=True, check=False,
                          timeout=2 * DEADLINE_S)
    return complete(server, parsed(done.stdout), count, done.stderr)


def complete(server, dialed, count, more):
    if dialed.lost or sum(dialed.answered.values()) != count:
        raise server.failure(f"answered {sum(dialed.answered.values())} of {count} connections, lost: {dialed.lost} {more}")
    return dialed


@contextlib.contextmanager
def idle_connections(server, count, addresses):
    """Holds them open, each having been answered once."""
    with subprocess.Popen(command(server, "idle", count, addresses), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as client:
        try:
            text = ""
            # It tells all at once, and then waits.
            while counted(parsed(text)) < count and (line := client.stdout.readline()):
                text += line
            complete(server, parsed(text), count, "")
            yield
        finally:
            client.stdin.close()
            client.wait(DEADLINE_S)
