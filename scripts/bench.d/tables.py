"""Tables in Markdown, from the samples of a run."""
from commands import TITLES

NOTHING = "–"


def markdown(rows):
    """The first row is the heading; the first column is text, the others are numbers."""
    lines = [rows[0], ["---"] + ["---:"] * (len(rows[0]) - 1), *rows[1:]]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def number(value, digits):
    return NOTHING if value is None else f"{value:,.{digits}f}"


class Columns:
    """Makes columns of one cell for each server, and a table of them."""

    def __init__(self, run, names=None):
        self.run, self.names = run, run.options.only if names is None else names

    def median(self, metric, digits):
        return {name: number(self.run.median(metric, name), digits) for name in self.names}

    def ratio(self, metric, base):
        return {name: number(self.run.ratio(metric, name, base), 2) for name in self.names}

    def per_second(self, metric):
        """How many, of what costs so many microseconds."""
        costs = {name: self.run.median(metric, name) for name in self.names}
        return {name: number(1e6 / cost if cost else None, 0) for name, cost in costs.items()}

    def range(self, metric, digits):
        cells = {}
        for name in self.names:
            values = self.run.values(metric, name)
            cells[name] = f"{min(values):,.{digits}f}–{max(values):,.{digits}f}" if values else NOTHING
        return cells

    def total(self, metric):
        """Of errors: those who read should see at once where there are any."""
        cells = {}
        for name in self.names:
            values = self.run.values(metric, name)
            cells[name] = NOTHING if not values else f"**{sum(values):,}**" if sum(values) else "0"
        return cells

    def joined(self, metrics, digits):
        """Several medians in one cell."""
        parts = [self.median(metric, digits) for metric in metrics]
        return {name: " / ".join(part[name] for part in parts) for name in self.names}

    def table(self, columns):
        rows = [[TITLES[name], *(cells[name] for cells in columns.values())] for name in self.names]
        return markdown([["server", *map(str.strip, columns)], *rows])
