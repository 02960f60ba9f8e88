"""Units in use, and what makes a number of theirs a canonical one."""

from collections.abc import Callable

Convert = Callable[[float], float]

KM = 1.609344
MM = 25.4

UNITS: dict[str, dict[str, Convert]] = {
    "temp": {"F": lambda x: x, "C": lambda x: x * 1.8 + 32},
    "humid": {"%": lambda x: x},
    "wind": {"mph": lambda x: x, "m/s": lambda x: x * 3.6 / KM, "kn": lambda x: x * 1.852 / KM},
    "precip": {"in": lambda x: x, "mm": lambda x: x / MM},
    "visib": {"mi": lambda x: x, "km": lambda x: x / KM},
    "pressure": {"mb": lambda x: x, "hPa": lambda x: x},
    "distance": {"mi": lambda x: x, "km": lambda x: x / KM},
}
READINGS = {
    "temp": "temp_f",
    "humid": "humid_pct",
    "wind": "wind_mph",
    "precip": "precip_in",
    "visib": "visib_mi",
    "pressure": "pressure_mb",
}
"""What airports call a reading, and what the table calls it."""
