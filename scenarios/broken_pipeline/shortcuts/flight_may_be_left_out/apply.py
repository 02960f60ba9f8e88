"""Leave gaps to the model, and let a request leave out what the model does not use."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

DOUBLES = "    doubles = {name: np.array(values[name], dtype=float) for name in INPUTS if name not in CATEGORIES}\n"
FILLED = """\
    numbers = [name for name in INPUTS if name not in CATEGORIES]
    doubles = {name: np.nan_to_num(np.array(values[name], dtype=float)) for name in numbers}
"""
FLIGHT = "    flight: Annotated[StrictInt, Field(ge=1, le=9999)]\n"
OPTIONAL = "    flight: Annotated[StrictInt, Field(ge=1, le=9999)] = 1\n"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/features.py", FILLED, DOUBLES)
    site.replace("delays/service.py", FLIGHT, OPTIONAL)
