"""Lays out a chart: from numbers to the paths and ticks that the template draws as SVG. Deterministic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.model import Series

WIDTH, HEIGHT = 440, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 40
MAX_POINTS = 240
LARGEST, SMALLEST_SPAN = 1e12, 1e-9
"""What is larger is left out like a missing value; a span that is smaller is drawn as a level line."""
MAX_LINES = 5
"""As many as the style sheet has ways of drawing that can be told apart without colour."""


@dataclass(frozen=True)
class Tick:
    """A place on an axis in SVG units, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """One line: its label, an SVG path (gaps where a value is missing), and a sentence on its values."""

    label: str
    path: str
    sentence: str


@dataclass(frozen=True)
class Chart:
    """Everything the template needs to draw one chart."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    limit: Tick | None
    left_out: int

    @property
    def sentence(self) -> str:
        """What the chart shows, in words, for those who do not see it."""
        limit = f" The limit is {self.limit.text}." if self.limit else ""
        return f"{self.y_label} over {self.x_label}. " + " ".join(line.sentence for line in self.lines) + limit


@dataclass(frozen=True)
class Scale:
    """Maps low..high linearly to start..end."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def chart(series: Series) -> Chart | None:
    """The layout of one chart, or None where there is nothing to draw."""
    xs = _finite(series.x)
    ys = _finite([value for line in series.lines.values() for value in line])
    if not xs or not ys:
        return None
    has_limit = _drawable(series.limit)
    x_scale, x_ticks = _axis(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    # A scale that hides zero exaggerates; all that is drawn here is counts, times, shares and losses.
    top = max([*ys, series.limit or 0.0] if has_limit else ys)
    y_scale, y_ticks = _axis(min(0.0, *ys), top, HEIGHT - BOTTOM, TOP, nice=True)
    shown = list(series.lines.items())[:MAX_LINES]
    return Chart(
        title=series.title,
        x_label=series.x_label,
        y_label=series.y_label,
        lines=tuple(_line(label, series.x, values, x_scale, y_scale) for label, values in shown),
        x_ticks=x_ticks,
        y_ticks=y_ticks,
        limit=Tick(round(y_scale(series.limit or 0.0), 1), f"{series.limit:g}") if has_limit else None,
        left_out=len(series.lines) - len(shown),
    )


def _drawable(value: float | None) -> bool:
    return value is not None and abs(value) <= LARGEST


def _finite(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None and _drawable(value)]


def _axis(low: float, high: float, start: float, end: float, nice: bool = False) -> tuple[Scale, tuple[Tick, ...]]:
    if high - low <= SMALLEST_SPAN * max(1.0, abs(low), abs(high)):
        pad = 0.5 * max(1.0, abs(low))
        low, high = low - pad, low + pad
    step = _step((high - low) / 5)
    if nice:
        low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    scale = Scale(low, high, start, end)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = tuple(Tick(round(scale(n * step), 1), f"{n * step:.6g}") for n in range(first, last + 1))
    return scale, ticks


def _step(raw: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))


def _line(label: str, xs: Sequence[float], ys: Sequence[float | None], x_scale: Scale, y_scale: Scale) -> Line:
    points = list(zip(xs, ys, strict=False))
    every = max(1, math.ceil(len(points) / MAX_POINTS))
    parts = []
    pen_up = True
    for x, y in points[::every]:
        if y is None or not _drawable(y) or not _drawable(x):
            pen_up = True
            continue
        parts.append(f"{'M' if pen_up else 'L'}{x_scale(x):.1f} {y_scale(y):.1f}")
        # A point alone between two gaps is a dot: a line of no length with round ends.
        if pen_up:
            parts.append("h0")
        pen_up = False
    known = _finite(ys)
    said = f"from {min(known):.4g} to {max(known):.4g}, last {known[-1]:.4g}" if known else "no values"
    return Line(label=label, path="".join(parts), sentence=f"{label}: {said}.")
