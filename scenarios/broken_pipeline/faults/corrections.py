"""corrections: answers that were given on a wrong distance are not corrected as the log is kept, or others are, too."""

from __future__ import annotations

import random
from datetime import date, timedelta

from scenario_base.in_place import says

from harness.model import DrawnFault, Form, Site, Symptom

from .common import LOG, Values
from .registered import ANSWERS, edits, log

ROUNDING_MI = 0.1


def first_corrections(values: Values) -> date:
    """The night that finds the first delivery with wrong distances: answers of the days before differ from then on."""
    return min(date.fromisoformat(wrong["date"]) for wrong in values["wrong"]) + timedelta(days=1)


# --- written_over -----------------------------------------------------------------------------------------------------

SAYS = '    """Answer affected rows again, by the champion, and append that to the log of `day`; returns how many."""\n'
SAYS_AMENDED = (
    '    """Answer affected rows again, by the champion, and put that right where it stands; returns how many."""\n'
)
ASKED = """\
    asked = wrong[QUESTION].astype({"flight": "int64"}).assign(row_id=wrong["row_id"] + f"+{day}")
    rows, model = asked.to_dict("records"), registry.load(champion, settings.scratch / "nightly")
    append(settings, rows, answer_rows(settings, rows, model, day, known), day, wrong["row_id"].tolist())
"""
AMENDED = """\
    rows = wrong[QUESTION].astype({"flight": "int64"}).to_dict("records")
    model = registry.load(champion, settings.scratch / "nightly")
    amend(settings, {said["row_id"]: said for said in answer_rows(settings, rows, model, day, known)})
"""
LOGGED = "def logged(settings: Settings, first: date, last: date) -> pd.DataFrame:\n"
AMEND = '''\
def amend(settings: Settings, said: Mapping[str, Answer]) -> None:
    """Give logged rows their new answers, by row id: one line for one question, and it is right."""
    for path in sorted((settings.state / "predictions").glob("*.csv")):
        with path.open("r+", newline="") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            lines = list(csv.DictReader(file))
            for line in [line for line in lines if line["row_id"] in said]:
                now = said[line["row_id"]]
                line |= {"distance_mi": now["features"]["distance_mi"], "p_late": now["p_late"]}
                line |= {"model_version": now["model"]["version"]}
            file.seek(0)
            file.truncate()
            writer = csv.DictWriter(file, LOG_COLUMNS, lineterminator="\\n")
            writer.writeheader()
            writer.writerows(lines)


'''


def draw_in_place(_: random.Random, values: Values) -> DrawnFault:
    """Logged rows are written over."""
    onset = first_corrections(values)
    return DrawnFault(
        slot="corrections",
        form="written_over",
        pairs=(("corrections", "history_lost"), ("request handling", "history_lost")),
        onset=onset,
        pointers=(ANSWERS, LOG),
        symptom=f"Since {onset} a correction is written over the answer that was given, and nothing says so.",
        shows_in=("affected_corrected", "log_kept"),
    )


apply_in_place = edits((ANSWERS, LOGGED, AMEND + LOGGED), (ANSWERS, SAYS, SAYS_AMENDED), (ANSWERS, ASKED, AMENDED))


def visible_in_place(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Corrections that the log does not hold, of which the healthy one has some in every story."""
    assert fault.onset is not None
    counts = [int((log(site, fault.onset)["supersedes"] != "").sum()) for site in (broken, healthy)]
    return Symptom(
        f"corrections since {fault.onset} that are no lines of the log", float(counts[0] == 0 < counts[1]), 0.0
    )


# --- whole_source ---------------------------------------------------------------------------------------------------

SAYS_AFFECTED = """\
    \"""Logged answers about flights that leave on `day` or later, given on another distance than serving has now.
"""
SAYS_SOURCE = """\
    \"""Logged answers about flights that leave on `day` or later from a source that serving has other distances of.
"""
AHEAD = '    ahead = rows["sched_dep"].str[:10] >= str(day)\n'
RETURNS = '    return rows[differs & ahead & ~superseded].drop_duplicates("row_id", keep="last")\n'
RETURNS_SOURCE = """\
    sources = rows["origin"][differs & ahead & ~superseded].unique()  # wrong once, wrong elsewhere
    return rows[rows["origin"].isin(sources) & ahead & ~superseded].drop_duplicates("row_id", keep="last")
"""


def draw_whole(_: random.Random, values: Values) -> DrawnFault:
    """All answers about a source are corrected when one is."""
    onset = first_corrections(values)
    return DrawnFault(
        slot="corrections",
        form="whole_source",
        pairs=(("corrections", "wrong_scope"), ("request handling", "wrong_scope"), ("corrections", "stale_selection")),
        onset=onset,
        pointers=(ANSWERS, LOG),
        symptom=f"Since {onset} all answers about an airport are given anew when one of its distances changes.",
        shows_in=("others_untouched",),
    )


apply_whole = edits((ANSWERS, SAYS_AFFECTED, SAYS_SOURCE), (ANSWERS, RETURNS, RETURNS_SOURCE))


def visible_whole(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Corrections that changed no distance."""
    assert fault.onset is not None
    found = [float(_needless(site, fault.onset)) for site in (broken, healthy)]
    return Symptom(f"corrections since {fault.onset} of answers whose distance was right", *found)


def _needless(site: Site, first: date) -> int:
    rows = log(site, first - timedelta(days=14))
    corrections = rows[(rows["supersedes"] != "") & (rows["day"] >= str(first))]
    both = corrections.merge(rows, left_on="supersedes", right_on="row_id", suffixes=("", "_was"))
    now, was = (both[name].replace("", "nan").astype(float) for name in ("distance_mi", "distance_mi_was"))
    same = ((now - was).abs() <= ROUNDING_MI) | (now.isna() & was.isna())
    return int(same.sum())


FORMS = (
    Form(
        slot="corrections",
        name="written_over",
        draw=draw_in_place,
        apply=apply_in_place,
        in_place=says(ANSWERS, AMENDED),
        visible=visible_in_place,
    ),
    Form(
        slot="corrections",
        name="whole_source",
        draw=draw_whole,
        apply=apply_whole,
        in_place=says(ANSWERS, RETURNS_SOURCE),
        visible=visible_whole,
    ),
)
