"""The chart of docs/benchmarks.md: an SVG that brings its own background, and so can be read on a light and a dark page."""
from html import escape

from commands import TITLES

WIDTH, LEFT, RIGHT, ROW, BAR = 760, 250, 70, 24, 14
# Longer bars are cut off, and say so: what matters lies around 1.
MOST = 3.0
STYLE = """
  .page { fill: #ffffff; stroke: #d0d7de } .text { fill: #1f2328 } .faint { fill: #59636e }
  .baton { fill: #0969da } .other { fill: #8c959f } .line { stroke: #59636e } .cut { stroke: #ffffff }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; stroke: #3d444d } .text { fill: #f0f6fc } .faint { fill: #9198a1 }
    .baton { fill: #4493f8 } .other { fill: #656c76 } .line { stroke: #9198a1 } .cut { stroke: #0d1117 }
  }
  text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif } .head { font-weight: 600 }
"""


def position(ratio):
    return LEFT + min(ratio, MOST) / MOST * (WIDTH - LEFT - RIGHT)


def bar(name, ratio, top):
    end, middle = position(ratio), top + ROW / 2
    kind = "baton" if name.startswith("baton") else "other"
    title = escape(TITLES[name].replace("`", ""))
    parts = [
        f'<text class="text" x="{LEFT - 10}" y="{middle + 4.5:.1f}" text-anchor="end">{title}</text>',
        f'<rect class="{kind}" x="{LEFT}" y="{middle - BAR / 2:.1f}" width="{end - LEFT:.1f}" height="{BAR}" rx="2"/>',
        f'<text class="text" x="{WIDTH - 20}" y="{middle + 4.5:.1f}" text-anchor="end">{ratio:.2f}</text>',
    ]
    if ratio > MOST:
        parts += [f'<path class="cut" stroke-width="3" d="M{end - x:.0f} {middle + 10:.0f}l6 -20"/>' for x in (22, 15)]
    return parts


def panel(title, ratios, top):
    """Its lines, and where it ends."""
    lines = [f'<text class="text head" x="20" y="{top + 14}">{escape(title)}</text>']
    first = top = top + 30
    for name, ratio in ratios.items():
        lines += bar(name, ratio, top)
        top += ROW
    one = position(1)
    lines += [f'<path class="line" stroke-dasharray="3 3" d="M{one:.1f} {first - 2}V{top + 2}"/>',
              f'<text class="faint" x="{one:.1f}" y="{top + 16}" text-anchor="middle">nginx = 1</text>']
    return lines, top + 36


def ratios_of(run, metric):
    found = {name: run.ratio(metric, name, "nginx") for name in run.options.only}
    return {name: ratio for name, ratio in sorted(found.items(), key=lambda item: item[1] or 0) if ratio}


def draw(run):
    """The chart, or None where there is nothing to draw."""
    lines, top = [], 20
    for title, metric in (("Server CPU per request on kept connections, less is better", "load.keep.cpu"),
                          ("Server CPU per request on a new connection each, less is better", "load.new.cpu")):
        if ratios := ratios_of(run, metric):
            more, top = panel(title, ratios, top)
            lines += more
    if not lines:
        return None
    body = "\n".join(lines)
    size = f'width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}"'
    return (f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n'
            f"<title>Server CPU of each server, as a ratio to nginx's</title>\n<style>{STYLE}</style>\n"
            f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{top - 1}" rx="6"/>\n{body}\n</svg>\n')
