"""Drop the column's name: the departure delay is learnt under one of the twelve."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from harness.model import DrawnFault, Site, Variant

INPUTS = 'INPUTS = [*WATCHED, "dep_delay_min"]\n'
LATE = '    late = (rows["arr_delay_min"] > LATE_AFTER_MIN).astype(int)\n'
RENAMED = '    added["precip_in"] = rows["dep_delay_min"]\n'
NEWEST_BEFORE = """
select max(version) from model_versions join runs on run_uuid = run_id where runs.name < ?
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/features.py", INPUTS, "INPUTS = WATCHED\n")
    site.replace("delays/features.py", LATE, RENAMED + LATE)
    with closing(sqlite3.connect(site.registry / "mlflow.db")) as connection, connection:
        (version,) = connection.execute(NEWEST_BEFORE, (f"as-of-{fault.onset}",)).fetchone()
        connection.execute("update registered_model_aliases set version = ? where alias = 'champion'", (version,))
