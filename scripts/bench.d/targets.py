"""What baton wants to reach, and whether it did in this run."""
import math

import idle
import load
import others
import slow
import spread
import start
import wakeups
from commands import TITLES, UNDER
from tables import NOTHING, markdown


class Target:
    """The worst of `measures` counts. Each is a function of the run; `servers` are those that they need, by part."""

    def __init__(self, what, part, servers, limit, measures, at_least=False, digits=2):
        self.what, self.part, self.servers, self.limit = what, part, servers, limit
        self.measures, self.at_least, self.digits = measures, at_least, digits

    def row(self, run):
        values = [measure(run) for measure in self.measures]
        sign = "≥" if self.at_least else "≤"
        # A digit more than the limit has, so that what is missed by little does not look met.
        shown = " / ".join(NOTHING if value is None else f"{value:.{self.digits + 1}f}" for value in values)
        return [self.what, f"{sign} {self.limit:.{self.digits}f}", shown, self.verdict(run, values)]

    def verdict(self, run, values):
        wrong = [TITLES[name] for name in self.servers if (self.part, name) in run.wrongs]
        if wrong:
            return f"**no: {' and '.join(wrong)} went wrong**"
        if None in values:
            return "not measured"
        worst = min(values) if self.at_least else max(values)
        return "yes" if self.meets(worst) else "**no**"

    def meets(self, value):
        if not math.isfinite(value):
            return False
        return value >= self.limit if self.at_least else value <= self.limit


def median(metric):
    return lambda run: run.median(metric, "baton")


def ratio(metric, base, name="baton"):
    return lambda run: run.ratio(metric, name, base)


def against(what, part, metric, base, limit, **more):
    return Target(f"{what}, against {TITLES[base]}", part, ("baton", base), limit, [ratio(metric, base)], **more)


TARGETS = (
    Target("busiest ÷ mean, 8 workers: one at a time / one each ms / as fast as one thread can", spread.PART, ("baton",),
           1.02, [median(f"{spread.PART}.{pattern}") for pattern in ("one", "paced", "burst")]),
    Target("the same, 64 at a time", spread.PART, ("baton",), 1.08, [median(f"{spread.PART}.many")]),
    Target("accept misses per connection, 8 workers: one at a time / under load", wakeups.PART, ("baton",), 0.02,
           [median(f"{wakeups.PART}.{kind}.misses") for kind in wakeups.KINDS], digits=3),
    against("server CPU per request, kept connections", load.PART, f"{load.PART}.keep.cpu", "nginx", 0.90),
    against("server CPU per request, kept connections", load.PART, f"{load.PART}.keep.cpu", "floor", 1.15),
    against("server CPU per connection, new one each", load.PART, f"{load.PART}.new.cpu", "nginx", 0.95),
    against("server CPU per connection, new one each", load.PART, f"{load.PART}.new.cpu", "floor", 1.10),
    against("requests/s", load.PART, f"{load.PART}.keep.rate", "nginx", load.GAIN, at_least=True),
    against("connections/s", load.PART, f"{load.PART}.new.rate", "nginx", load.GAIN, at_least=True),
    Target(f"`roundrobin`'s server CPU per connection, against {TITLES['node-cluster']}", load.PART,
           ("baton-roundrobin", "node-cluster"), 0.20,
           [ratio(f"{load.PART}.new.cpu", "node-cluster", "baton-roundrobin")]),
    Target("p99 with one slow worker of 8, `leastconn` against `roundrobin`", slow.PART, slow.NAMES, 0.25,
           [ratio(f"{slow.PART}.p99", "baton-roundrobin", "baton-leastconn")]),
    against("user memory per idle kept connection", idle.PART, f"{idle.PART}.bytes", "nginx", 1.0),
    against("a worker's memory (PSS)", start.PART, f"{start.PART}.pss", "nginx", 0.8),
    against("first answer after exec, 8 workers", start.PART, f"{start.PART}.ms", "nginx", 1.0),
)


def under(policy, metric):
    return ratio(f"{load.PART}.{metric}", "node-cluster", UNDER + policy)


NODE_TARGETS = (
    Target("requests/s of Node under `shared`, against its own cluster", load.PART, (UNDER + "shared", "node-cluster"), 1.0,
           [under("shared", "keep.rate")], at_least=True),
    Target("connections/s of Node under `shared`, against its own cluster", load.PART, (UNDER + "shared", "node-cluster"), 1.6,
           [under("shared", "new.rate")], at_least=True),
    Target("the master's CPU µs under `shared`: a request / a connection", load.PART, (UNDER + "shared",), 0.05,
           [lambda run, kind=kind: run.median(f"{load.PART}.{kind}.master", UNDER + "shared") for kind in ("keep", "new")]),
    Target("busiest ÷ mean under `roundrobin`: one at a time / one each ms / as fast as one thread can", spread.PART,
           (UNDER + "roundrobin",), 1.02,
           [lambda run, pattern=pattern: run.median(f"{spread.PART}.{pattern}", UNDER + "roundrobin")
            for pattern in ("one", "paced", "burst")]),
)


# Whose numbers are only as good as the machine is quiet.
TOUCHY = (load.PART, spread.PART)


def disturbed(run):
    """What is to be said of the machine where it was not ours, or None."""
    if not others.too_many(run, TOUCHY):
        return None
    return (f"**Other processes took of the machine: {others.told(run, TOUCHY)}. More than {others.MOST:.0%} is too much to "
            "trust a ratio of times, or the evenness of what is over in a moment.**")


def chapter(run):
    """baton is its policy `shared` where no other is named."""
    wanted = NODE_TARGETS if run.options.node else TARGETS
    rows = markdown([["what", "target", "measured", "met"], *(target.row(run) for target in wanted)])
    return "\n\n".join(filter(None, ["## Targets", disturbed(run), rows]))
