"""The published rules for what is in a delivery, in canonical units."""

import pandas as pd
import pandera.pandas as pa
from delays.deliveries import COLUMNS, Delivery, Refused

FLIGHTS_AT_LEAST = 50  # of a first delivery
MISSING_AT_MOST = 0.30
SELDOM_MISSING = pa.Check(
    lambda values: values.isna().sum() <= MISSING_AT_MOST * len(values),
    ignore_na=False,
    error=f"missing in at most {MISSING_AT_MOST:.0%} of the rows",
)


def _within(low: float, high: float, *more: pa.Check, nullable: bool = True) -> pa.Column:
    return pa.Column(float, [pa.Check.in_range(low, high), *more], nullable=nullable)


RULES = {
    "flights": pa.DataFrameSchema(
        {
            "carrier": pa.Column(str),
            "flight": pa.Column(float, pa.Check(lambda values: values % 1 == 0, error="a whole number")),
            "dest": pa.Column(str),
            "sched_dep": pa.Column(str, pa.Check.str_matches(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):")),
            "distance_mi": _within(50, 6000, nullable=False),
            "dep_delay_min": _within(-120, 2000),
            "air_time_min": _within(5, 1000),
            "arr_delay_min": _within(-120, 2000),
        },
        unique=["carrier", "flight"],
    ),
    "weather": pa.DataFrameSchema(
        {
            "hour": pa.Column(float, pa.Check.isin(range(24))),
            "temp_f": _within(-40, 130, SELDOM_MISSING),
            "humid_pct": _within(0, 100, SELDOM_MISSING),
            "wind_mph": _within(0, 120, SELDOM_MISSING),
            "precip_in": _within(0, 10),
            "visib_mi": _within(0, 100, SELDOM_MISSING),
            "pressure_mb": _within(900, 1100),
        },
        unique=["hour"],
    ),
}


def check(delivery: Delivery) -> None:
    """Raises Refused with every rule that a delivery breaks."""
    broken = []
    for name in COLUMNS:
        frame: pd.DataFrame | None = getattr(delivery, name)
        if frame is not None:
            broken += _broken(name, frame)
        elif delivery.number == 1:
            broken.append(f"{name}: missing in a first delivery")
    if delivery.number == 1 and delivery.flights is not None and len(delivery.flights) < FLIGHTS_AT_LEAST:
        broken.append(f"flights: {len(delivery.flights)} rows, fewer than {FLIGHTS_AT_LEAST}")
    if broken:
        raise Refused("; ".join(broken))


def _broken(name: str, frame: pd.DataFrame) -> list[str]:
    try:
        RULES[name].validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases.drop_duplicates(["column", "check"])
        return [f"{name}: {case.column} is not {case.check}" for case in cases.itertuples()]
    return []
