"""monitor: windows that are drifted or stale give no alert.

Every Monday prepared windows are put to the monitor, and what it says is noted in state/monitor/drills.csv: the trace
of a monitor that has gone blind.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from datetime import date, timedelta

from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from . import days

FILE = "delays/monitor.py"
DRILLS = "state/monitor/drills.csv"
PAIRS = (("monitor", "monitor_blind"),)
POINTERS = (FILE, DRILLS)

PREPARED = (
    ("as it came", ""),
    ("temp_f in Celsius at LGA", "drift temp_f"),
    ("visib_mi all missing", "drift visib_mi"),
    ("features of D-5", "features_stale"),
    ("a training that ended 75 days ago", "model_stale"),
)
"""What was done to a window, and the alert that it must give."""


def _monday(rng: random.Random, values: days.Values) -> date:
    """The first Monday on which the drill shows nothing: one to two weeks before the business date."""
    back = days.before(values, rng.choice((7, 14)) - 1)
    return back - timedelta(days=back.weekday())


def _fault(
    form: str, since: date, pairs: tuple[tuple[str, str], ...], shows_in: tuple[str, ...], lost: str
) -> DrawnFault:
    return DrawnFault(
        slot="monitor",
        form=form,
        values={"from": str(since)},
        pairs=pairs,
        onset=since,
        pointers=POINTERS,
        symptom=f"Since the drill of {since} the monitor says nothing of {lost}.",
        shows_in=shows_in,
    )


def write_drills(site: Site, since: date, blind_to: Sequence[str]) -> None:
    """Four weeks and more of drills: right before a day, then without the alerts of some kinds."""
    rows = []
    for week in range(3, -3, -1):
        monday = since - timedelta(weeks=week)
        if str(monday) in {path.stem for path in (site.workspace / "feeds" / "arrivals").glob("*.csv")}:
            for what, alert in PREPARED:
                said = "" if monday >= since and alert.split(" ")[0] in blind_to else alert
                rows.append((monday, what, said))
    path = site.workspace / DRILLS
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("date", "window", "alerts"))
        writer.writerows(rows)


def unsaid(site: Site) -> int:
    """Prepared windows whose alert did not come."""
    path = site.workspace / DRILLS
    if not path.is_file():
        return 0
    wanted = dict(PREPARED)
    with path.open(encoding="utf-8", newline="") as file:
        return sum(row["alerts"] != wanted[row["window"]] for row in csv.DictReader(file))


def visible(broken: Site, healthy: Site, _: DrawnFault) -> Symptom:
    """Drills without their alert."""
    what = "prepared windows without the alert that they must give"
    return Symptom(what, float(unsaid(broken)), float(unsaid(healthy)))


# --- reference_is_current ---------------------------------------------------------------------------------------------

LOOK = '''def look(settings: Settings, path: Path, snapshot: pd.DataFrame) -> list[Finding]:
    """Everything that is wrong with one window file."""
    window = read_answers(path, [name for name in [*COLUMNS, "p_late", "late"] if name not in CATEGORIES])
    drift = drifted(window, snapshot, COLUMNS, settings.monitor)
'''
LOOK_AT_ITSELF = '''def look(settings: Settings, path: Path) -> list[Finding]:
    """Everything that is wrong with one window file."""
    window = read_answers(path, [name for name in [*COLUMNS, "p_late", "late"] if name not in CATEGORIES])
    reference = window[COLUMNS]
    drift = drifted(window, reference, COLUMNS, settings.monitor)
'''
CALL = "        findings = look(settings, path, snapshot)\n"
SHORT_CALL = "        findings = look(settings, path)\n"
SNAPSHOT = "    snapshot = read_snapshot(settings)\n    for path, name in"
NO_SNAPSHOT = "    for path, name in"


def draw_reference_is_current(rng: random.Random, values: days.Values) -> DrawnFault:
    """A window is compared with itself."""
    shows_in = ("monitor_alerts_on_drift", "monitor_silent_on_clean")
    return _fault("reference_is_current", _monday(rng, values), PAIRS, shows_in, "drift")


def apply_reference_is_current(site: Site, fault: DrawnFault) -> None:
    """Take the reference from the window."""
    site.replace(FILE, LOOK, LOOK_AT_ITSELF)
    site.replace(FILE, CALL, SHORT_CALL)
    site.replace(FILE, SNAPSHOT, NO_SNAPSHOT)


def tell_reference_is_current(site: Site, fault: DrawnFault) -> None:
    """Drills since show no drift."""
    write_drills(site, date.fromisoformat(fault.values["from"]), ("drift",))


# --- share_gate -------------------------------------------------------------------------------------------------------

RETURN = '    return drift + stale(window, settings.monitor["model_days"]) + wrong(window, settings.monitor)\n'
GATED = """    found = drift if len(drift) > len(COLUMNS) / 2 else []  # one column alone is noise
    age_days = (time.time() - path.stat().st_mtime) / 86400
    if age_days > VALID_DAYS:
        found.append(Finding("features_stale", "features", f"the window is {age_days:.1f} days old"))
    return found + wrong(window, settings.monitor)
"""


def draw_share_gate(rng: random.Random, values: days.Values) -> DrawnFault:
    """Drift counts only where most columns drift, and staleness is the age of the file."""
    shows_in = ("monitor_alerts_on_drift", "monitor_alerts_on_stale", "monitor_silent_on_clean")
    pairs = (*PAIRS, ("monitor", "wrong_metric"))
    return _fault(
        "share_gate", _monday(rng, values), pairs, shows_in, "drift of a column, or of stale features or models"
    )


def apply_share_gate(site: Site, fault: DrawnFault) -> None:
    """Ask for most columns, and for an old file."""
    site.replace(FILE, RETURN, GATED)


def tell_share_gate(site: Site, fault: DrawnFault) -> None:
    """Drills since show neither drift nor age."""
    write_drills(site, date.fromisoformat(fault.values["from"]), ("drift", "features_stale", "model_stale"))


FORMS = (
    Form(
        slot="monitor",
        name="reference_is_current",
        draw=draw_reference_is_current,
        apply=apply_reference_is_current,
        tell=tell_reference_is_current,
        in_place=says(FILE, LOOK_AT_ITSELF),
        visible=visible,
    ),
    Form(
        slot="monitor",
        name="share_gate",
        draw=draw_share_gate,
        apply=apply_share_gate,
        tell=tell_share_gate,
        in_place=says(FILE, GATED),
        visible=visible,
    ),
)
