"""One run of scripts/bench: its samples by metric, server and round, and what went wrong in it."""
import collections
import contextlib
import subprocess
import sys
from statistics import median

from servers import BenchError, running


class Run:
    def __init__(self, options):
        self.options = options
        self.samples = collections.defaultdict(lambda: collections.defaultdict(dict))
        self.wrongs = {}  # by part and server: what it was, each once
        self.failed = set()  # parts and servers that have no numbers

    def note(self, text):
        print(text, file=sys.stderr, flush=True)

    def wrong(self, part, name, what):
        """Something to be told with the numbers, and that no target is met by."""
        found = self.wrongs.setdefault((part, name), [])
        if what not in found:
            found.append(what)
            self.note(f"wrong: {part}: {name}: {what}")

    @contextlib.contextmanager
    def server(self, part, name, workers, **more):
        """Its failure ends what is done with it in this part, and takes its numbers away, but the run goes on. That it can't
        be started at all ends the run."""
        has_started = False
        try:
            with running(name, workers, self.options, **more) as server:
                has_started = True
                try:
                    yield server
                except (OSError, LookupError, ValueError, subprocess.SubprocessError) as error:
                    raise server.failure(f"could not be measured, {type(error).__name__}: {error}") from error
        except (BenchError, OSError) as error:
            if not has_started:
                raise
            self.failed.add((part, name))
            self.wrong(part, name, str(error))
        else:
            if server.was_killed:
                self.wrong(part, name, "did not stop when it was asked to, and was killed")

    def rounds(self, part, names, count):
        """Each round's number and server. Another goes first in each, so that none always has the quieter machine."""
        for number in range(count):
            chosen = [name for name in names if self.takes_part(name, number)]
            shift = number % len(chosen) if chosen else 0
            for name in chosen[shift:] + chosen[:shift]:
                if (part, name) not in self.failed:
                    self.note(f"{part}, round {number + 1} of {count}: {name}")
                    yield number, name

    def takes_part(self, name, number):
        return number == 0 or name not in self.options.once

    def add(self, metric, name, number, value):
        self.samples[metric][name][number] = value

    def by_round(self, metric, name):
        """A metric's name begins with its part."""
        part = metric.partition(".")[0]
        return {} if (part, name) in self.failed else self.samples[metric][name]

    def values(self, metric, name):
        return list(self.by_round(metric, name).values())

    def median(self, metric, name):
        values = self.values(metric, name)
        return median(values) if values else None

    def ratio(self, metric, name, base):
        """The median of the ratios within each round: what slows the machine down for a while slows both."""
        mine, theirs = self.by_round(metric, name), self.by_round(metric, base)
        ratios = [mine[number] / theirs[number] for number in mine if theirs.get(number)]
        return median(ratios) if ratios else None
