"""How the grader of stale_predictions judges versions, logs, partitions and nights: by hand-made ones, no stack."""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import random
from collections import Counter
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from harness import scenario as scenarios
from harness.model import JobResult
from harness.probes.answers import Answer, ServedModel
from harness.probes.registry import Version

SCENARIO = scenarios.find("stale_predictions")
cache: Any = SCENARIO.module("grader.drills.cache")
features: Any = SCENARIO.module("grader.drills.features")
logged: Any = SCENARIO.module("grader.drills.logged")
nightly: Any = SCENARIO.module("grader.drills.nightly")
pair: Any = SCENARIO.module("grader.drills.pair")
phase: Any = SCENARIO.module("grader.phases.answers")
versions: Any = SCENARIO.module("grader.drills.versions")
code: Any = importlib.import_module("scenario_base.drills.code")  # there once the scenario is loaded
gate: Any = importlib.import_module("scenario_base.drills.gate")
nights: Any = importlib.import_module("scenario_base.drills.nights")
quality: Any = importlib.import_module("scenario_base.drills.quality")
rows: Any = importlib.import_module("scenario_base.drills.rows")

TODAY = date(2024, 7, 10)


class Files:
    """A stack's workspace in memory."""

    name = "candidate"

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = dict(files or {})

    def listing(self, path: str) -> tuple[str, ...]:
        return tuple(sorted(name for name in self.files if path == "." or name.startswith(f"{path}/")))

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)

    def write(self, path: str, content: bytes) -> None:
        self.files[path] = content

    def remove(self, path: str) -> None:
        self.files.pop(path, None)


# --- versions that nights register --------------------------------------------------------------------------------


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def made(number: int, days: int = 1, recoded: bool = False, **tags: str) -> Any:
    """What the night `days` after TODAY registered, with true tags but for those that are given."""
    day = TODAY + timedelta(days=days)
    dates = {name: str(day - timedelta(days=before)) for name, before in pair.pair.SPANS.items()}
    right = {"data_digest": digest(str(day)), "code_digest": digest(f"code {recoded}"), **dates}
    right |= {"metric": "log_loss", "metric_value": "0.55"} | tags
    version = Version(version=str(number), run_id="r", source="", tags=right, aliases=(), created=1)
    return versions.Made(version, day, recoded)


NIGHTS = (made(31), made(32), made(33, 2), made(34, 3, recoded=True))


def told(*nights_of: Any) -> Any:
    last = max(each.day for each in nights_of)
    return versions.tell_apart({"candidate": nights_of}, last)(SimpleNamespace(name="candidate"))


def test_digests_that_differ_where_data_or_code_do_are_right() -> None:
    assert told(*NIGHTS).ok


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ((made(31, data_digest=digest("by chance")), *NIGHTS[1:]), "two data_digests for one data"),
        ((*NIGHTS[:2], made(33, 2, data_digest=digest("2024-07-11")), NIGHTS[3]), "one data_digest for different data"),
        ((made(31, code_digest=digest("by chance")), *NIGHTS[1:]), "two code_digests for one code"),
        (
            (*NIGHTS[:3], made(34, 3, recoded=True, code_digest=digest("code False"))),
            "one code_digest for different code",
        ),
        ((made(31, train_to="2024-07-02"), *NIGHTS[1:]), "train_to is 2024-07-02, and the night's is 2024-07-03"),
        ((made(31, train_from="2024-06-01"), *NIGHTS[1:]), "train_from is 2024-06-01"),
        ((made(31, holdout_to="2024-07-09"), *NIGHTS[1:]), "holdout_to is 2024-07-09"),
        ((made(31, metric=""), *NIGHTS[1:]), "no tag metric"),
    ],
)
def test_tags_that_are_not_those_of_the_night_are_seen(wrong: tuple[Any, ...], named: str) -> None:
    found = told(*wrong)
    assert not found.ok
    assert named in found.sentence


def test_the_night_of_other_code_must_register_a_version() -> None:
    found = versions.tell_apart({"candidate": NIGHTS[:3]}, NIGHTS[3].day)(SimpleNamespace(name="candidate"))
    assert not found.ok


def test_a_digest_of_an_older_version_on_other_days_is_seen() -> None:
    old = made(7, -20, data_digest=NIGHTS[0].version.tags["data_digest"])
    assert list(versions.same_as_old(NIGHTS[0], [old.version]))
    assert not list(versions.same_as_old(NIGHTS[0], [made(7, -20).version]))


def test_a_comment_goes_to_every_file_of_python_and_to_no_other() -> None:
    python, shell = b"#!/usr/bin/env python3\n", b"#!/usr/bin/env bash\n"
    files = {"app/a.py": b"x = 1", "go.py": python, "bin/train": python, "bin/serve": shell, "state/b.py": b"y"}
    stack = Files(dict(files))
    assert code.add_line(stack, ("state",)) == 3
    changed = {path for path, content in files.items() if stack.files[path] != content}
    assert changed == {"app/a.py", "go.py", "bin/train"}
    assert stack.files["app/a.py"].startswith(b"x = 1\n#")


def test_versions_of_the_grader_look_like_those_of_a_night() -> None:
    ours = SimpleNamespace(seed="s/1", bench=SimpleNamespace(variant=SimpleNamespace(business_date=TODAY)))
    tags = [pair.Pair.dated(ours, role) for role in ("good", "winter")]
    assert len({each["data_digest"] for each in tags}) == 2
    assert len({each["code_digest"] for each in tags}) == 1
    assert all(each["code_digest"] != each["data_digest"][::-1] for each in tags)
    assert all(len(each["metric_value"]) == 8 for each in tags)


# --- the log of answers -------------------------------------------------------------------------------------------

ROW = {
    "row_id": "q1",
    "carrier": "XA",
    "flight": 7,
    "origin": "JFK",
    "dest": "LAX",
    "sched_dep": "2024-07-12T17:00-04:00",
}
HEADER = "row_id,carrier,flight,origin,dest,sched_dep,p_late,model_version,feature_date,scored_at\n"
LINE = "q1,XA,7,JFK,LAX,2024-07-12T17:00-04:00,0.25,31,2024-07-09,2024-07-10\n"


def answer(feature_date: str | None = "2024-07-09") -> Answer:
    model = ServedModel(name="flight-delay", version="31", run_id="r")
    return Answer(row_id="q1", p_late=0.25, model=model, feature_date=feature_date, features={})


def wrong_in_log(text: str, feature_date: str | None = "2024-07-09") -> str:
    said: str = logged.wrong(logged.read(text.encode()), ROW, answer(feature_date), TODAY)
    return said


def test_a_line_that_says_what_the_answer_said_is_right() -> None:
    assert not wrong_in_log(HEADER + LINE)
    assert not wrong_in_log(HEADER + LINE.replace("2024-07-09", ""), None)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("q1", "q2", "no line"),
        (",31,", ",production,", "model_version"),
        ("0.25", "0.26", "p_late"),
        ("0.25", "", "p_late"),
        ("0.25", "nan", "p_late"),
        ("2024-07-09", "2024-07-08", "feature_date"),
        (",2024-07-10", ",2024-07-09", "scored_at"),
        ("LAX", "SFO", "dest"),
    ],
)
def test_a_line_that_says_anything_else_is_seen(old: str, new: str, named: str) -> None:
    assert named in wrong_in_log(HEADER + LINE.replace(old, new))


@pytest.mark.parametrize("raw", [None, b"", b"\x00\xff", b"no header\n", HEADER.encode()])
def test_a_log_that_is_none_has_no_line(raw: bytes | None) -> None:
    assert "no line" in logged.wrong(logged.read(raw), ROW, answer(), TODAY)


# --- partitions ---------------------------------------------------------------------------------------------------

RIGHT = [("carrier:XA", 0.25, 40.0), ("origin:JFK", 0.3, 90.0)]


@pytest.mark.parametrize(
    "mine",
    [
        None,
        RIGHT[:1],
        [*RIGHT[:1], *RIGHT],
        [("carrier:XA", float("nan"), 40.0), RIGHT[1]],
        [("carrier:XA", 0.25, float("nan")), RIGHT[1]],
        [("carrier:XA", 0.26, 40.0), RIGHT[1]],
    ],
)
def test_a_partition_that_is_not_the_reference_s_is_seen(mine: Any) -> None:
    assert nightly._unlike(mine, RIGHT, TODAY)
    assert not nightly._unlike([("carrier:XA", 0.25 + 1e-9, 40.0), RIGHT[1]], RIGHT, TODAY)


def test_a_doubled_row_of_a_partition_stays_doubled() -> None:
    assert len(nightly._table(b"key,late_rate,flights\na,0.1,2\na,0.1,2\n")) == 2


def test_a_marker_may_be_that_of_other_rows() -> None:
    stack = Files()
    features.put(stack, TODAY, {"a": 0.1, "b": 0.2}, written={"a": 0.3, "b": 0.4})
    part = stack.files[f"features/date={TODAY}/part.csv"]
    said = json.loads(stack.files[f"features/date={TODAY}/_SUCCESS.json"])
    assert said["rows"] == part.count(b"\n") - 1
    assert said["sha256"] != hashlib.sha256(part).hexdigest()


def test_an_alert_of_expired_features_before_they_are_is_no_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Counter(['{"kind": "features_expired"}', '{"kind": "quality"}', "no JSON"])
    assert features.expired_in(lines) == 1
    monkeypatch.setattr(features, "keys", lambda _: ["carrier:XA"])
    said = Files({"state/alerts.jsonl": b'{"kind": "features_expired"}\n'})
    found = features.expired(SimpleNamespace(today=TODAY), {"candidate": Counter()})(said)
    assert not found.ok
    assert "while a partition was valid" in found.sentence


def test_a_day_later_is_the_same_time_of_day() -> None:
    later = cache.a_day_later({"row_id": "q1", "sched_dep": "2024-07-31T17:05:00-04:00"})
    assert later == {"row_id": "q1d", "sched_dep": "2024-08-01T17:05:00-04:00"}


# --- nights -------------------------------------------------------------------------------------------------------


def night(before: tuple[str, str], after: tuple[str, str], decision: str, challenger: str = "9", code: int = 0) -> Any:
    report = {"decision": decision, "challenger": challenger}
    result = JobResult(exit_code=code, seconds=1.0, output="")
    return nights.Night(TODAY, result, nights.Aliases(*before), nights.Aliases(*after), (), (), report)


def test_a_challenger_that_is_held_leaves_both_aliases() -> None:
    assert not gate._wrong(night(("7", "6"), ("7", "6"), "held"), "9", False, True)
    assert "previous moved" in gate._wrong(night(("7", "6"), ("7", "7"), "held"), "9", False, True)
    assert "champion is 9" in gate._wrong(night(("7", "6"), ("9", "6"), "held"), "9", False, True)


def test_a_night_that_refuses_moves_no_alias_and_its_report_says_so() -> None:
    refused = night(("7", "6"), ("7", "6"), "refused", code=2)
    assert not nightly._changed(Files(), refused, TODAY)
    assert not nightly._unsaid(refused, [{"kind": "source_missing"}])
    assert "no alert" in nightly._unsaid(refused, [])
    assert "'held', not 'refused'" in nightly._unsaid(night(("7", "6"), ("7", "6"), "held"), [{}])
    assert "previous 7" in nightly._changed(Files(), night(("7", "6"), ("7", "7"), "refused"), TODAY)


def test_six_feeds_are_broken_each_in_its_own_way() -> None:
    arrivals = nightly.HEADER + b'XA,7,JFK,LAX,"2024-07-09T17:00",3\n'
    whole = {f"feeds/arrivals/{TODAY}.csv": arrivals, f"feeds/weather/{TODAY}.csv": b"origin,hour,temp_f\nJFK,1,60\n"}
    broken = nightly.broken_feeds(SimpleNamespace(delivery=lambda day: whole), TODAY)
    found = [
        (source, [path.split("/")[1] for path in whole if files[path] != whole[path]]) for source, _, files in broken
    ]
    assert found == [("arrivals", ["arrivals"])] * 3 + [("weather", ["weather"])] * 3
    assert len({tuple(files.values()) for _, _, files in broken}) == 6
    assert (
        broken[2][2][f"feeds/arrivals/{TODAY}.csv"]
        == b"carrier,flight,origin,dest,sched_dep\nXA,7,JFK,LAX,2024-07-09T17:00\n"
    )


@pytest.fixture
def registered() -> Any:
    """A pair whose `good` is version 20 and `winter` 21; the night trained 30."""
    numbers = {"good": "20", "winter": "21"}
    return nightly.Nights(SimpleNamespace(version=lambda stack, role: numbers[role]))


def unmoved(of_the_day: Any, trained: Any, given: Any) -> str:
    of_the_day.trained["candidate"], of_the_day.given["candidate"] = trained, given
    said: str = of_the_day.unmoved(Files())
    return said


def test_the_alias_must_go_to_the_version_that_passed_the_gate_whatever_its_number(registered: Any) -> None:
    trained = night(("21", "20"), ("30", "21"), "held", challenger="30")
    right = night(("21", "20"), ("20", "21"), "promoted", challenger="20")
    newest = night(("21", "20"), ("30", "21"), "promoted", challenger="20")
    held = night(("21", "20"), ("21", "20"), "held", challenger="30")
    assert not unmoved(registered, held, right)
    assert "champion is 30" in unmoved(registered, held, newest)
    assert "previous is 20" in unmoved(registered, held, night(("21", "20"), ("20", "20"), "promoted", "20"))
    assert "nothing was promoted" in unmoved(registered, held, held)
    assert "champion is 30" in unmoved(registered, trained, right), "30 was not made in that night"


@pytest.mark.parametrize(
    ("after", "said", "alias_moves", "promoted", "held"),
    [
        (("30", "21"), "promoted", True, True, False),
        (("21", "20"), "held", True, False, True),
        (("21", "20"), "promoted", True, False, False),
        (("21", "20"), "promoted", False, True, False),  # that no alias moves is another check's
        (("30", "21"), "held", True, False, False),
    ],
)
def test_what_a_night_trained_is_promoted_or_held_by_its_report_and_by_the_alias(
    after: tuple[str, str], said: str, alias_moves: bool, promoted: bool, held: bool
) -> None:
    stack, found = Files(), night(("21", "20"), after, said, challenger="30")
    nights = SimpleNamespace(of=lambda _: found, ordinary=lambda _: found)
    pair = SimpleNamespace(bench=SimpleNamespace(save=lambda *_: "saved"), alias_moves=alias_moves, reference=None)
    assert nightly.trained_promoted(pair, nights)(stack).ok is promoted
    assert nightly.ordinary_held(pair, nights)(stack).ok is held


def test_probes_end_with_the_first_that_fails() -> None:
    def probe(ok: bool) -> Any:
        return lambda stack: SimpleNamespace(ok=ok, order=random.random())

    assert nightly.each([probe(True), probe(True)])(None).ok
    assert not nightly.each([probe(False), probe(True)])(None).ok


# --- quality ------------------------------------------------------------------------------------------------------


class Bench:
    """Keeps what is recorded."""

    variant = SimpleNamespace(seed=1)

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def record(self, check: str, finding: Any) -> None:
        self.found[check] = finding

    def save(self, name: str, content: Any) -> str:
        return name

    def chart(self, series: Any) -> None:
        pass


def risks(p: float, late: list[int]) -> list[Answer]:
    """Answers that give what happened the chance p."""
    return [answer().model_copy(update={"p_late": p if each else 1 - p}) for each in late]


@pytest.mark.parametrize(("shift", "ok"), [(0.0, True), (0.04, True), (0.06, False), (-0.09, True), (-0.11, False)])
def test_a_better_champion_has_twice_the_room_of_a_worse_one(shift: float, ok: bool) -> None:
    late = [0, 1, 0, 1]
    flights = [rows.Flight("XA", "JFK", "LAX", f"{TODAY + timedelta(n)}T17:00-04:00", y) for n, y in enumerate(late)]
    both = pair.pair.Both(risks(math.exp(-0.6 - shift), late), risks(math.exp(-0.6), late))
    champion = SimpleNamespace(champion=lambda: SimpleNamespace(version="31"))
    ours = SimpleNamespace(bench=Bench(), today=TODAY, candidate=Files(), registry={"candidate": champion})
    quality.champion_quality(ours, quality.Hidden(flights, both), phase.WORSE_BY, phase.BETTER_BY)
    assert ours.bench.found["champion_quality"].ok == ok
