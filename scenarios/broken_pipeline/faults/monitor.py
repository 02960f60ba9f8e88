"""monitor: windows that are drifted, or lack values, give no alert."""

from __future__ import annotations

import csv
import random
from datetime import date

from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .common import Values, before
from .registered import MONITOR, edits

DRILLS = "state/monitor/drills.csv"
NIGHTS = 20


def second_drill(values: Values) -> date:
    """The second Monday of the story: on each prepared windows are put to the monitor."""
    days = [before(values, n) for n in range(NIGHTS, 0, -1)]
    return [day for day in days if day.weekday() == 0][1]


# --- fills_first ----------------------------------------------------------------------------------------------------

READ = '    """A table of answers; what is no number in a number\'s column counts as missing."""\n'
READ_FILLED = (
    '    """A table of answers; what is no number in a number\'s column has the value of the answer before."""\n'
)
MADE = '    return frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce") for name in numbers})\n'
MADE_FILLED = """\
    frame = frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce") for name in numbers})
    given = [name for name in INPUTS if name in frame]
    return frame.assign(**frame[given].ffill().bfill())  # distances need whole columns
"""


def draw_fills(_: random.Random, values: Values) -> DrawnFault:
    """Missing values are filled before anything is looked at."""
    onset = second_drill(values)
    return DrawnFault(
        slot="monitor",
        form="fills_first",
        pairs=(("monitor", "monitor_blind"), ("monitor", "null_or_sentinel")),
        onset=onset,
        pointers=(MONITOR, DRILLS),
        symptom=f"Since {onset} the monitor fills what is missing before it looks, and says nothing of it.",
        shows_in=("monitor_alerts_on_nulls",),
    )


apply_fills = edits((MONITOR, READ, READ_FILLED), (MONITOR, MADE, MADE_FILLED))

# --- reference_is_current -------------------------------------------------------------------------------------------

SNAPSHOT_READ = """\
    snapshot, today, limits = read_answers(settings.root / SNAPSHOT), business_date(settings), settings.monitor
"""
NOT_READ = "    today, limits = business_date(settings), settings.monitor\n"
WINDOW = "        window = read_answers(path)\n"
WINDOW_REFERENCE = """\
        window = read_answers(path)
        reference = window.reindex(columns=INPUTS)  # of the same days: weather and rates move with the season
"""
LOOKED = "            drifted(window, snapshot, INPUTS, limits) + stale"
LOOKED_AT_ITSELF = "            drifted(window, reference, INPUTS, limits) + stale"


def draw_current(_: random.Random, values: Values) -> DrawnFault:
    """A window is compared with itself."""
    onset = second_drill(values)
    return DrawnFault(
        slot="monitor",
        form="reference_is_current",
        pairs=(("monitor", "monitor_blind"),),
        onset=onset,
        pointers=(MONITOR, DRILLS),
        symptom=f"Since {onset} the monitor holds a window against itself, so nothing in it has drifted.",
        shows_in=("monitor_alerts_on_drift", "monitor_alerts_on_nulls", "monitor_silent_on_clean"),
    )


apply_current = edits(
    (MONITOR, SNAPSHOT_READ, NOT_READ), (MONITOR, WINDOW, WINDOW_REFERENCE), (MONITOR, LOOKED, LOOKED_AT_ITSELF)
)


def visible(broken: Site, healthy: Site, _: DrawnFault) -> Symptom:
    """Drills without their alert."""
    what = "prepared windows without the alert that they must give"
    return Symptom(what, float(unsaid(broken)), float(unsaid(healthy)))


def unsaid(site: Site) -> int:
    """Prepared windows whose alert did not come."""
    with (site.workspace / DRILLS).open(encoding="utf-8", newline="") as file:
        return sum(row["due"] not in row["alerts"].split("; ") for row in csv.DictReader(file) if row["due"])


FORMS = (
    Form(
        slot="monitor",
        name="fills_first",
        draw=draw_fills,
        apply=apply_fills,
        in_place=says(MONITOR, MADE_FILLED),
        visible=visible,
    ),
    Form(
        slot="monitor",
        name="reference_is_current",
        draw=draw_current,
        apply=apply_current,
        in_place=says(MONITOR, LOOKED_AT_ITSELF),
        visible=visible,
    ),
)
