#!/usr/bin/env python3
"""bench-report.py FROM TO: makes TO/benchmarks.md and TO/benchmarks/*.svg from FROM/*.json, which `make bench` writes.

If TO/benchmarks.md exists, the text above MARK is kept.
"""

import datetime
import html
import json
import math
import pathlib
import sys

COLOURS = ["#4c78a8", "#f58518", "#e45756", "#72b7b2", "#54a24b", "#b279a2", "#9d755d", "#bab0ac"]
# The order of the benchmarks. Any others follow.
ORDER = ["transfers", "idle", "decisions", "compose", "serve", "instances", "tls", "python", "python-memory"]


MARK = "<!-- What follows is made by scripts/bench-report.py. -->"


def format_value(bench, value):
    if bench.get("unit") == "KiB":
        return f"{value / 1024:.1f} MiB"
    return format_time(value)


def format_time(time):
    if time < 10_000:
        return f"{time:.0f} ns"
    return f"{time / 1000:.1f} us" if time < 10_000_000 else f"{time / 1e6:.1f} ms"


def table(bench):
    columns = bench["columns"]
    lines = ["| | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for row in bench["rows"]:
        first, cells = row["times"][0], []
        for at, time in enumerate(row["times"]):
            if time is None:
                cells.append("-")
            elif at == 0 or first is None or not bench.get("compared", True):
                cells.append(format_value(bench, time))
            else:
                cells.append(f"{format_value(bench, time)} ({time / first:.2f})")
        lines.append(f"| {row['row']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(bench):
    """Draws bars for each row. Times are relative to the first column, or absolute on a logarithmic scale."""
    relative = bench.get("compared", True)
    columns, rows = bench["columns"], bench["rows"]
    value = lambda row, time: time / row["times"][0] if relative else time
    values = [value(row, time) for row in rows for time in row["times"] if time is not None]
    # A bar beyond `top` is cut. Its label has the true value.
    top = min(max(values), 4.0) if relative else 10 ** math.ceil(math.log10(max(values)))
    scale = (lambda v: min(v, top) / top) if relative else (lambda v: max(math.log10(v), 0) / math.log10(top))
    bar, left, width = 11, 170, 560
    height = 50 + sum((len([t for t in row["times"] if t is not None]) + 1) * bar for row in rows)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 90} {height}" font-family="sans-serif" font-size="10">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for at, column in enumerate(columns):
        x = 10 + at * (left + width + 60) / len(columns)
        out.append(f'<rect x="{x:.0f}" y="8" width="9" height="9" fill="{COLOURS[at % len(COLOURS)]}"/>')
        out.append(f'<text x="{x + 12:.0f}" y="16">{html.escape(column)}</text>')
    y = 34
    if relative:
        x = left + width * scale(1)
        out.append(f'<line x1="{x:.0f}" x2="{x:.0f}" y1="26" y2="{height - 8}" stroke="#888" stroke-dasharray="3 3"/>')
    for row in rows:
        out.append(f'<text x="{left - 6}" y="{y + 9}" text-anchor="end">{html.escape(row["row"])}</text>')
        for at, time in enumerate(row["times"]):
            if time is None:
                continue
            v = value(row, time)
            length = width * scale(v)
            label = f"{v:.2f}" if relative else format_value(bench, time)
            out.append(
                f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 2}" fill="{COLOURS[at % len(COLOURS)]}"/>'
            )
            out.append(f'<text x="{left + length + 4:.1f}" y="{y + 8}" fill="#333">{label}</text>')
            y += bar
        y += bar
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main():
    source, target = map(pathlib.Path, sys.argv[1:])
    benches = [json.loads(path.read_text()) for path in sorted(source.glob("*.json"))]
    benches.sort(key=lambda bench: (ORDER + [bench["bench"]]).index(bench["bench"]))
    if not benches:
        return print("no tables and plots: none of the benchmarks that ran has any")
    (target / "benchmarks").mkdir(parents=True, exist_ok=True)
    page = target / "benchmarks.md"
    head, mark, _ = page.read_text().partition(MARK) if page.exists() else ("", "", "")
    parts = [head.rstrip() if mark else "# Benchmarks", MARK]
    for bench in benches:
        name = bench["bench"]
        when = datetime.datetime.fromtimestamp(bench["time"], datetime.timezone.utc).strftime("%Y-%m-%d")
        (target / "benchmarks" / f"{name}.svg").write_text(plot(bench))
        parts.append(f"## {name}")
        parts.append(f"{bench['about']} {when}, {bench['cpu']}, {bench['cpus']} CPUs, Linux {bench['kernel']}.")
        parts.append(table(bench))
        parts.append(f"![{name}](benchmarks/{name}.svg)")
    page.write_text("\n\n".join(parts) + "\n")
    print(f"tables and plots: {page}")


main()
