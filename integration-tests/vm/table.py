"""Rows of several guests as one table: a line for each thing that was tried, a column for each kernel."""

import pathlib
import sys

guests = [pathlib.Path(line.strip()) for line in sys.stdin if line.strip()]
columns, names = [], []
for guest in guests:
    rows = {}
    for line in (guest / "rows").read_text().splitlines():
        verdict, milliseconds, name = line.split("\t", 2)
        rows[name] = f"{verdict} {milliseconds} ms" if milliseconds != "-" else verdict
        if name not in names:
            names.append(name)
    kernel = guest / "kernel"
    columns.append((kernel.read_text().strip() if kernel.exists() else guest.parent.name, rows))

width = max(map(len, names), default=10)
print(" " * width + "".join(f"  {title:>22}" for title, _ in columns))
for name in names:
    print(f"{name:<{width}}" + "".join(f"  {rows.get(name, 'not run'):>22}" for _, rows in columns))
failed = sum(value.startswith("failed") for _, rows in columns for value in rows.values())
passed = sum(value.startswith("ok") for _, rows in columns for value in rows.values())
print(f"\n{passed} passed, {failed} failed")
