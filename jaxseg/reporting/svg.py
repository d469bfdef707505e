"""Charts as SVG inside a page: they scale, follow the light or dark style of the page and need no network."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

WIDTH, HEIGHT = 440, 270
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 42
MOST_POINTS = 400


class Series(NamedTuple):
    """A line of a chart.

    Attributes:
      name: for the legend.
      points: (x, y).
      color: number of a color of the page, 0 to 6; -1 is pale.
      marked: mark every point.
    """

    name: str
    points: Sequence[tuple[float, float]]
    color: int
    marked: bool = False


class Axis(NamedTuple):
    """An axis of a chart."""

    label: str
    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Returns where a value is, 0 at the low end and 1 at the high end."""
        low, high, value = (np.log10(part) if self.log else part for part in (self.low, self.high, value))
        return float(np.clip((value - low) / (high - low or 1), -0.05, 1.05))

    def ticks(self) -> list[float]:
        """Returns about five round numbers on the axis."""
        if self.log:
            powers = range(int(np.floor(np.log10(self.low))), int(np.ceil(np.log10(self.high))) + 1)
            ticks = [part * 10.0**power for power in powers for part in (1, 2, 5)]
        else:
            step = (self.high - self.low) / 5 or 1
            power = 10.0 ** np.floor(np.log10(step))
            step = next(part * power for part in (1, 2, 5, 10) if part * power >= step * 0.999)
            ticks = [step * number for number in range(int(np.ceil(self.low / step)), int(self.high / step + 1e-6) + 1)]
        return [float(tick) for tick in ticks if self.low * (1 - 1e-9) <= tick <= self.high * (1 + 1e-9)]


def draw_lines(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """Returns a chart with lines, and its legend below."""
    lines = [_frame(x, y)]
    for one in series:
        points = [(_x(x.place(a)), _y(y.place(b))) for a, b in _thinned(one.points)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        style = f'class="c{one.color if one.color >= 0 else "p"}"'
        lines.append(_clipped(f'<polyline {style} points="{path}"/>'))
        if one.marked:
            lines += [f'<circle {style} cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in points]
    legend = "".join(
        f'<li><span class="swatch c{one.color if one.color >= 0 else "p"}"></span>{escape(one.name)}</li>'
        for one in series
    )
    return _figure(title, "".join(lines), f'<ul class="legend">{legend}</ul>')


def draw_reliability(title: str, confidence: np.ndarray, accuracy: np.ndarray, shares: np.ndarray) -> str:
    """Returns a reliability diagram: bars of the accuracy per bin of confidence, and the diagonal of perfection.

    Args:
      title: what was counted.
      confidence: mean confidence per bin; nan where empty.
      accuracy: share that is right per bin; nan where empty.
      shares: share of all cases per bin.
    """
    x, y = Axis("confidence", 0, 1), Axis("share that is right", 0, 1)
    parts, width = [_frame(x, y)], 1 / len(confidence)
    for number, (mean, right, share) in enumerate(zip(confidence, accuracy, shares, strict=True)):
        if np.isnan(right):
            continue
        left, top = _x(number * width), _y(right)
        words = f"confidence {mean:.2f}: {right:.1%} right, {share:.1%} of all"
        parts.append(
            f'<rect class="bar" x="{left + 1:.1f}" y="{top:.1f}" width="{_x(width) - _x(0) - 2:.1f}" '
            f'height="{_y(0) - top:.1f}"><title>{words}</title></rect>'
        )
    parts.append(f'<line class="diagonal" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>')
    return _figure(title, "".join(parts), "")


def draw_bars(title: str, names: Sequence[str], values: Sequence[float], unit: str = "") -> str:
    """Returns horizontal bars with their names and values."""
    high = max([*values, 1e-9])
    step, room = 26, 150
    parts = []
    for row, (name, value) in enumerate(zip(names, values, strict=True)):
        y, width = row * step + 4, (WIDTH - room - 70) * value / high
        parts.append(
            f'<text x="{room - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="bar" x="{room}" y="{y}" width="{width:.1f}" height="18"/>'
            f'<text x="{room + width + 6:.1f}" y="{y + 14}">{round(value, 2):g}{unit}</text>'
        )
    return _figure(title, "".join(parts), "", max(len(names), 1) * step + 8)


def _frame(x: Axis, y: Axis) -> str:
    parts = [f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{_x(1) - LEFT}" height="{_y(0) - TOP}"/>']
    for tick in x.ticks():
        place = _x(x.place(tick))
        parts.append(f'<line class="grid" x1="{place:.1f}" y1="{TOP}" x2="{place:.1f}" y2="{_y(0)}"/>')
        parts.append(f'<text x="{place:.1f}" y="{_y(0) + 15}" text-anchor="middle">{_number(tick)}</text>')
    for tick in y.ticks():
        place = _y(y.place(tick))
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{place:.1f}" x2="{_x(1)}" y2="{place:.1f}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{place + 4:.1f}" text-anchor="end">{_number(tick)}</text>')
    parts.append(f'<text x="{(_x(0) + _x(1)) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x.label)}</text>')
    parts.append(
        f'<text transform="translate(12 {(TOP + _y(0)) / 2}) rotate(-90)" text-anchor="middle">{escape(y.label)}</text>'
    )
    return "".join(parts)


def _clipped(content: str) -> str:
    """Returns content that a chart shows only within its frame."""
    width, height = _x(1) - LEFT, _y(0) - TOP
    frame = f'x="{LEFT}" y="{TOP}" width="{width:g}" height="{height:g}"'
    return f'<svg {frame} viewBox="{LEFT} {TOP} {width:g} {height:g}">{content}</svg>'


def _figure(title: str, content: str, below: str, height: int = HEIGHT) -> str:
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">{content}</svg>{below}</figure>'
    )


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Returns at most ``MOST_POINTS`` points: the means of consecutive ones."""
    if len(points) <= MOST_POINTS:
        return points
    return [tuple(part.mean(axis=0)) for part in np.array_split(np.asarray(points, np.float64), MOST_POINTS)]


def _x(place: float) -> float:
    return LEFT + place * (WIDTH - LEFT - RIGHT)


def _y(place: float) -> float:
    return HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)


def _number(value: float) -> str:
    if abs(value) >= 10000:
        return f"{value / 1000:g}k"
    return f"{round(value, 6):g}"
