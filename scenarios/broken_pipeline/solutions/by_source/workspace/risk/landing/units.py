"""From the units in use to the table's: value times scale plus shift."""

from collections.abc import Mapping

import pandas as pd

_SAME = (1.0, 0.0)
_TO_MILES = 1 / 1.609344
CANONICAL: dict[str, tuple[str, dict[str, tuple[float, float]]]] = {
    "temp": ("temp_f", {"F": _SAME, "C": (1.8, 32.0)}),
    "humid": ("humid_pct", {"%": _SAME}),
    "wind": ("wind_mph", {"mph": _SAME, "m/s": (3.6 * _TO_MILES, 0.0), "kn": (1.852 * _TO_MILES, 0.0)}),
    "precip": ("precip_in", {"in": _SAME, "mm": (1 / 25.4, 0.0)}),
    "visib": ("visib_mi", {"mi": _SAME, "km": (_TO_MILES, 0.0)}),
    "pressure": ("pressure_mb", {"mb": _SAME, "hPa": _SAME}),
    "distance": ("distance_mi", {"mi": _SAME, "km": (_TO_MILES, 0.0)}),
}
"""By delivered column: the table's column, and the units in use."""
PARTS = {"flights": ["distance"], "weather": ["temp", "humid", "wind", "precip", "visib", "pressure"]}
"""Columns that have a unit."""


def unknown(part: str, units: Mapping[str, str]) -> list[str]:
    """Columns of a part whose unit is missing or none of those in use."""
    return [name for name in PARTS[part] if units.get(name) not in CANONICAL[name][1]]


def converted(frame: pd.DataFrame, part: str, units: Mapping[str, str]) -> pd.DataFrame:
    """The columns of a part under the table's names, in its units."""
    found = {name: frame[name] for name in frame if name not in CANONICAL}
    for name in PARTS[part]:
        column, known = CANONICAL[name]
        scale, shift = known[units[name]]
        found[column] = frame[name] * scale + shift
    return pd.DataFrame(found)


def value(name: str, number: float | None, unit: str) -> float | None:
    """One reading."""
    scale, shift = CANONICAL[name][1][unit]
    return None if number is None else number * scale + shift
