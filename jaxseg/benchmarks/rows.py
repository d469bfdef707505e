"""What was measured, as rows of numbers for programs and for people."""

import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from jaxseg.benchmarks.peaks import COPY, PRODUCT
from jaxseg.benchmarks.timing import Contender, Timing
from jaxseg.storage import write_text

NOTHING = "-"


def block_rows(what: str, contenders: Sequence[Contender], timings: Sequence[Timing]) -> list[dict[str, Any]]:
    """Returns the numbers of contenders that took turns, relative to the first of them and to the peaks."""
    pairs = list(zip(contenders, timings, strict=True))
    product = next((_rate(one.flops, timing) for one, timing in pairs if one.mode == PRODUCT), None)
    copy = next((_rate(one.bytes_moved, timing) for one, timing in pairs if one.mode == COPY), None)
    first = _rate(contenders[0].images, timings[0])
    return [
        {
            "what": "peak" if one.mode in (PRODUCT, COPY) else what,
            "framework": one.framework,
            "mode": one.mode,
            "images_per_second": _rate(one.images, timing),
            "seconds": timing.seconds,
            "spread": timing.spread,
            "compile_seconds": one.compile_seconds,
            "peak_bytes": one.peak_bytes(),
            "flops": one.flops,
            "flops_per_second": _rate(one.flops, timing),
            "share_of_product": _share(_rate(one.flops, timing), product),
            "bytes_per_second": _rate(one.bytes_moved, timing),
            "share_of_copy": _share(_rate(one.bytes_moved, timing), copy),
            "ratio": _share(first, _rate(one.images, timing)),
        }
        for one, timing in pairs
    ]


def _rate(amount: float | None, timing: Timing) -> float | None:
    """Returns an amount per second; None stays None."""
    return amount / timing.seconds if amount else None


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part and whole else None


def print_table(rows: list[dict[str, Any]]) -> None:
    """Prints what was measured on what, and a line for each row."""
    first = rows[0]
    height, width = first["image_size"]
    versions = " ".join(f"{name} {version}" for name, version in first["versions"].items())
    print(f"{first['config']}: batches of {first['batch_size']} x {height} x {width}, {first['precision']}")
    print(f"{first['device']}; {versions}")
    lines = [list(COLUMNS)] + [[_cell(show, row) for show in COLUMNS.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        left, right = line[:3], line[3:]
        words = [word.ljust(width) for word, width in zip(left, widths[:3], strict=True)]
        numbers = [word.rjust(width) for word, width in zip(right, widths[3:], strict=True)]
        print("  ".join(words + numbers).rstrip())


def write_rows(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    """Writes the rows as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(rows, indent=2) + "\n")


def _cell(show: Callable[[dict[str, Any]], str], row: dict[str, Any]) -> str:
    try:
        return show(row)
    except TypeError:  # None: there is no such number
        return NOTHING


COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "what": lambda row: row["what"],
    "framework": lambda row: row["framework"],
    "mode": lambda row: row["mode"],
    "images/s": lambda row: f"{row['images_per_second']:.4g}",
    "ms": lambda row: f"{1e3 * row['seconds']:.4g}",
    "spread": lambda row: f"{row['spread']:.0%}",
    "compile s": lambda row: f"{row['compile_seconds']:.1f}",
    "peak MiB": lambda row: f"{row['peak_bytes'] / 2**20:.0f}",
    "GFLOP/s": lambda row: f"{row['flops_per_second'] / 1e9:.4g}",
    "of product": lambda row: f"{row['share_of_product']:.0%}",
    "GB/s": lambda row: f"{row['bytes_per_second'] / 1e9:.4g}",
    "first's speed / its": lambda row: f"{row['ratio']:.2f}",
}
