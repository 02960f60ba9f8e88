"""Fill with what is usual instead of 0."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

ZERO = "np.nan_to_num(np.array(values[name], dtype=float))"
USUAL = "np.nan_to_num(np.array(values[name], dtype=float), nan=USUAL.get(name, 0.15))"
DEF = "def model_frame("
TABLE = """\
USUAL = {"hour": 13.0, "distance_mi": 900.0, "temp_f": 75.0, "humid_pct": 60.0, "wind_mph": 10.0, "precip_in": 0.0,
         "visib_mi": 10.0, "pressure_mb": 1015.0}


"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/features.py", ZERO, USUAL)
    site.replace("delays/features.py", DEF, TABLE + DEF)
