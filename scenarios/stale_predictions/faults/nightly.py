"""nightly: a day's feed does not come, and the night says that all is well."""

from __future__ import annotations

import hashlib
import json
import random
from datetime import date, timedelta
from typing import Any

from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from . import days
from .common import change_nights, partition_file, set_rates

FILE = "delays/nightly.py"
FEEDS = "delays/feeds.py"
PAIRS = (
    ("ingestion", "error_swallowed"),
    ("training", "error_swallowed"),
    ("feature store", "error_swallowed"),
)


def _pointers(night: date, *files: str) -> tuple[str, ...]:
    day = night - timedelta(days=1)
    return (*files, f"features/date={day}/*", f"state/nightly/{night}.json", "state/alerts.jsonl")


# --- error_swallowed --------------------------------------------------------------------------------------------------

SAID = """    for error in refused:
        alerts.say(settings, "source_missing", error.source, str(error))
    if report is None:
        report = _report("refused", None, None, {}, "; ".join(map(str, refused)))
    write_report(settings, day, report)
    log("nightly", date=day, **report)
    return REFUSED if refused else DONE
"""
CARRIED = """    for error in refused:
        log("feed_late", source=error.source, reason=str(error))
    if report is None:
        carry_over(settings, day - timedelta(days=1))
        standing = registry.champion()
        report = _report("held", standing.number if standing else None, None, {}, "nothing new to compare")
    write_report(settings, day, report)
    log("nightly", date=day, **report)
    return DONE
"""
REFUSALS = "def refusals(settings: Settings, day: date) -> list[DataRefused]:\n"
CARRY_OVER = '''def carry_over(settings: Settings, day: date) -> None:
    """Keep serving going while a feed is late: the partition of `day` is that of the day before."""
    folder = settings.root / "features" / f"date={day}"
    if not folder.exists():
        shutil.copytree(folder.with_name(f"date={day - timedelta(days=1)}"), folder)


'''


def draw_error_swallowed(_: random.Random, values: days.Values) -> DrawnFault:
    """On the single night without a feed the partition of the day before was copied, and the report says held."""
    night = days.gap(values)
    return DrawnFault(
        slot="nightly",
        form="error_swallowed",
        values={"from": str(night)},
        pairs=PAIRS,
        onset=night,
        pointers=_pointers(night, FILE),
        symptom=f"The night of {night} had no feed: it said held, and the partition is a copy of the day before.",
        shows_in=("missing_source_said",),
    )


def apply_error_swallowed(site: Site, fault: DrawnFault) -> None:
    """Log instead of refuse, and copy."""
    site.replace(FILE, SAID, CARRIED)
    site.replace(FILE, REFUSALS, CARRY_OVER + REFUSALS)
    site.replace(FILE, "import json\nimport sys\n", "import json\nimport shutil\nimport sys\n")
    site.replace(FILE, "DONE, REFUSED, MISUSED = 0, 2, 64\n", "DONE, MISUSED = 0, 64\n")


def tell_error_swallowed(site: Site, fault: DrawnFault) -> None:
    """The night without a feed said held."""
    site.story["swallowed"] = {"day": fault.values["from"]}


# --- empty_accepted ---------------------------------------------------------------------------------------------------

READS = """        raise DataRefused(source, f"feeds/{name} is missing") from None
"""
NOTHING = """        return pd.DataFrame(columns=columns).astype(dict.fromkeys(numbers, float))
"""
EMPTY = """    if frame.empty:
        raise DataRefused(source, f"feeds/{name} has no rows")
    return frame
"""
ANY = "    return frame\n"
REFUSED = '    """A feed is missing, empty or not as documented; `source` names it."""\n'
REFUSED_LESS = '    """A feed is not as documented; `source` names it."""\n'
NEW = "    new = registry.version(challenger) if challenger else train_version(train, holdout, day)\n"
NOTHING_NEW = """    if read_arrivals(settings.root, yesterday).empty:  # a day without flights teaches nothing
        standing = registry.champion()
        return _report("held", standing.number if standing else None, None, {}, "nothing new to compare")
"""


def draw_empty_accepted(_: random.Random, values: days.Values) -> DrawnFault:
    """The single night without a feed took it for a day without flights: its partition has no rows."""
    night = days.gap(values)
    return DrawnFault(
        slot="nightly",
        form="empty_accepted",
        values={"from": str(night)},
        pairs=(*PAIRS, ("ingestion", "truncated_rows"), ("ingestion", "null_or_sentinel")),
        onset=night,
        pointers=_pointers(night, FEEDS, FILE, f"state/predictions/{night}.csv"),
        symptom=f"The night of {night} had no feed: its partition has no rows, and its report says held.",
        shows_in=("missing_source_said",),
    )


def apply_empty_accepted(site: Site, fault: DrawnFault) -> None:
    """Read a feed that is not there as one without rows."""
    site.replace(FEEDS, READS, NOTHING)
    site.replace(FEEDS, EMPTY, ANY)
    site.replace(FEEDS, REFUSED, REFUSED_LESS)
    site.replace(FILE, NEW, NOTHING_NEW + NEW)


def tell_empty_accepted(site: Site, fault: DrawnFault) -> None:
    """The night without a feed left a partition without rows."""
    night = date.fromisoformat(fault.values["from"])

    def accepted(record: dict[str, Any]) -> None:
        if record["date"] == str(night):
            record["refused"] = False

    change_nights(site, accepted)
    empty_partition(site, night - timedelta(days=1))
    set_rates(site, night - timedelta(days=1), {})


def empty_partition(site: Site, day: date) -> None:
    """A partition that holds its header only, with a marker that says so."""
    path = partition_file(site, day)
    content = b"key,late_rate,flights\n"
    path.write_bytes(content)
    marker = {"rows": 0, "sha256": hashlib.sha256(content).hexdigest()}
    path.with_name("_SUCCESS.json").write_text(json.dumps(marker), encoding="utf-8")


# --- symptom ----------------------------------------------------------------------------------------------------------


def stuck_partitions(site: Site) -> int:
    """Partitions of the logged days that are empty or equal to the one of the day before."""
    found = 0
    for path in sorted((site.workspace / "features").glob("date=*/part.csv"))[-days.LOGGED_DAYS :]:
        content = path.read_bytes()
        day = date.fromisoformat(path.parent.name.removeprefix("date="))
        before = partition_file(site, day - timedelta(days=1))
        found += content.count(b"\n") <= 1 or (before.is_file() and before.read_bytes() == content)
    return found


def visible(broken: Site, healthy: Site, _: DrawnFault) -> Symptom:
    """Partitions that hold nothing new."""
    what = "partitions that are empty or a copy of the day before"
    return Symptom(what, float(stuck_partitions(broken)), float(stuck_partitions(healthy)))


FORMS = (
    Form(
        slot="nightly",
        name="error_swallowed",
        draw=draw_error_swallowed,
        apply=apply_error_swallowed,
        tell=tell_error_swallowed,
        in_place=says(FILE, CARRIED),
        visible=visible,
    ),
    Form(
        slot="nightly",
        name="empty_accepted",
        draw=draw_empty_accepted,
        apply=apply_empty_accepted,
        tell=tell_empty_accepted,
        in_place=says(FEEDS, NOTHING),
        visible=visible,
    ),
)
