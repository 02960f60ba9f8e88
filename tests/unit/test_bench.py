"""Who is to blame: FAIL only where the reference passes, ERROR wherever it is ours, and no check without a result."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.bench import ASSUMED_BOOT_SECONDS, GRADING_SECONDS, GradingBench, OutOfTime, pace
from harness.errors import BadAnswer, NotReady, TooLate
from harness.model import CheckSpec, Finding, JobResult, Outcome, Series, Skill, Stack, Variant
from harness.report.points import UNSEEN

VARIANT = Variant(scenario="tiny", seed=1, values={"business_date": "2024-06-01"}, faults=())
GOOD = Finding(True, "It does.", "1")
BAD = Finding(False, "It does not.", "0")


class FakeStack:
    """A stack of which only the name is asked, and whose jobs end as their name says."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run_job(self, job: str, args: Sequence[str], deadline_s: float) -> JobResult:
        return JobResult(None, deadline_s, "") if job == "hangs" else JobResult(0, 40.0, "")


def spec(check_id: str) -> CheckSpec:
    return CheckSpec(id=check_id, slot="word", promise="It does.", skill=Skill.PRODUCTION, points=1, limit="1")


def bench_in(folder: Path, only: tuple[str, ...] = ()) -> GradingBench:
    candidate: Any = FakeStack("candidate")
    reference: Any = FakeStack("reference")
    return GradingBench(
        checks=[spec("a"), spec("b"), spec("c")],
        variant=VARIANT,
        candidate=candidate,
        reference=reference,
        site=None,  # type: ignore[arg-type]  # no probe here looks at it
        folder=folder,
        progress=lambda what, done, of: None,
        started=0.0,
        only=only,
    )


def finding_by(stack_findings: dict[str, Finding | Exception]):  # type: ignore[no-untyped-def]
    def probe(stack: Stack) -> Finding:
        found = stack_findings[stack.name]
        if isinstance(found, Exception):
            raise found
        return found

    return probe


@pytest.mark.parametrize(
    ("candidate", "reference", "outcome"),
    [
        (GOOD, BAD, Outcome.PASS),
        (BAD, GOOD, Outcome.FAIL),
        (BAD, BAD, Outcome.ERROR),
        (Finding(None, "Too noisy."), GOOD, Outcome.INCONCLUSIVE),
        (BadAnswer("candidate", "It is dead."), GOOD, Outcome.FAIL),
        (BadAnswer("candidate", "It is dead."), BadAnswer("reference", "It is dead too."), Outcome.ERROR),
        (BadAnswer("reference", "Not mine."), GOOD, Outcome.ERROR),
        (ValueError("a bug of ours"), GOOD, Outcome.ERROR),
    ],
)
def test_the_outcome_of_a_check(tmp_path: Path, candidate: Any, reference: Any, outcome: Outcome) -> None:
    bench = bench_in(tmp_path)
    bench.check("a", finding_by({"candidate": candidate, "reference": reference}))
    assert bench.results["a"].outcome is outcome


def test_an_error_of_ours_keeps_its_traceback_as_evidence(tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    bench.check("a", finding_by({"candidate": ValueError("a bug of ours")}))
    (path,) = bench.results["a"].evidence
    assert "a bug of ours" in (tmp_path / path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [
        (BadAnswer("candidate", "Dead."), Outcome.FAIL),
        (BadAnswer("reference", "Dead."), Outcome.ERROR),
        (KeyError("ours"), Outcome.ERROR),
    ],
)
def test_a_guard_gives_what_is_missing_a_result(tmp_path: Path, raised: Exception, outcome: Outcome) -> None:
    bench = bench_in(tmp_path)
    with bench.guard("a", "b"):
        bench.record("a", GOOD)
        raise raised
    assert bench.results["a"].outcome is Outcome.PASS
    assert bench.results["b"].outcome is outcome
    assert "c" not in bench.results


@pytest.mark.parametrize(
    ("raised", "measured"),
    [
        (TooLate("candidate", "Not within 30 s."), "too late"),
        (NotReady("candidate", "Not ready."), "not ready"),
        (BadAnswer("candidate", "A 500."), "no right answer"),
    ],
)
def test_what_a_stack_did_not_do_is_written_down_with_the_step_that_asked_for_it(
    tmp_path: Path, raised: Exception, measured: str
) -> None:
    def asks_for_it() -> Finding:
        raise raised

    bench = bench_in(tmp_path)
    bench.check("a", lambda stack: asks_for_it() if stack.name == "candidate" else GOOD)
    result = bench.results["a"]
    assert (result.outcome, result.measured) == (Outcome.FAIL, measured)
    (evidence,) = result.evidence
    assert "asks_for_it" in (tmp_path / evidence).read_text(encoding="utf-8")


def test_the_first_result_of_a_check_stands(tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    bench.record("a", BAD)
    bench.record("a", GOOD)
    assert bench.check("a", finding_by({"candidate": GOOD})) is None
    assert bench.results["a"].outcome is Outcome.FAIL


def later(bench: GradingBench, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """So many seconds of grading have passed."""
    monkeypatch.setattr(bench, "_began", time.monotonic() - seconds)


def test_out_of_time_a_check_has_a_result_without_asking_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_in(tmp_path)
    later(bench, monkeypatch, GRADING_SECONDS + 1)
    bench.check("a", lambda stack: pytest.fail("nobody is asked"))
    assert bench.results["a"].outcome is Outcome.ERROR


def misses_a_job(bench: GradingBench) -> None:
    bench.candidate.run_job("hangs", [], 90.0)


def misses_a_wait(bench: GradingBench) -> None:
    with bench.guard("b"):
        raise TooLate("candidate", "Not within 30 s.")


def misses_an_answer(bench: GradingBench) -> None:
    bench.check("b", finding_by({"candidate": TooLate("candidate", "Late."), "reference": GOOD}))


def misses_a_restart(bench: GradingBench) -> None:
    with bench.guard("b"):
        raise NotReady("candidate", "Not ready.")


def answers_wrongly(bench: GradingBench) -> None:
    with bench.guard("b"):
        raise BadAnswer("candidate", "A 500.")


def keeps_the_reference_waiting(bench: GradingBench) -> None:
    bench.reference.run_job("hangs", [], 90.0)
    with bench.guard("b"):
        raise TooLate("reference", "Not within 30 s.")


@pytest.mark.parametrize(
    ("before", "outcome"),
    [
        (misses_a_job, Outcome.FAIL),
        (misses_a_wait, Outcome.FAIL),
        (misses_an_answer, Outcome.FAIL),
        (misses_a_restart, Outcome.FAIL),
        (answers_wrongly, Outcome.ERROR),
        (keeps_the_reference_waiting, Outcome.ERROR),
    ],
)
def test_out_of_time_it_is_the_candidates_fault_only_where_it_missed_a_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: Any, outcome: Outcome
) -> None:
    bench = bench_in(tmp_path)
    before(bench)
    with bench.guard("a"):
        later(bench, monkeypatch, GRADING_SECONDS + 1)
        with bench.guard("a"):
            pytest.fail("what is out of time is not begun")
    bench.check("c", lambda stack: pytest.fail("nobody is asked"))
    assert (bench.results["a"].outcome, bench.results["c"].outcome) == (outcome, outcome)


def test_what_jobs_take_within_their_deadlines_is_not_taken_from_the_drills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_in(tmp_path)
    for _ in range(9):
        bench.candidate.run_job("nightly", [], 90.0)
    bench.reference.run_job("nightly", [], 90.0)
    later(bench, monkeypatch, GRADING_SECONDS + 9 * 40 - 1)
    bench.check("a", finding_by({"candidate": GOOD}))
    assert bench.results["a"].outcome is Outcome.PASS
    later(bench, monkeypatch, GRADING_SECONDS + 9 * 40 + 1)
    bench.check("b", finding_by({"candidate": GOOD}))
    assert bench.results["b"].outcome is Outcome.ERROR


def test_a_job_that_had_to_be_stopped_is_taken_from_the_drills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = bench_in(tmp_path)
    misses_a_job(bench)
    later(bench, monkeypatch, GRADING_SECONDS + 1)
    bench.check("a", finding_by({"candidate": GOOD}))
    assert bench.results["a"].outcome is Outcome.FAIL


def test_a_slow_machine_gets_longer_deadlines() -> None:
    assert pace(ASSUMED_BOOT_SECONDS / 2) == 1
    assert pace(3 * ASSUMED_BOOT_SECONDS) == 3


def test_a_result_of_an_unknown_check_is_our_bug(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        bench_in(tmp_path).record("nonesuch", GOOD)


def test_a_candidate_that_uses_up_the_time_fails_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = bench_in(tmp_path)
    misses_a_job(bench)
    with bench.guard("a", "b"):
        bench.record("a", GOOD)
        later(bench, monkeypatch, GRADING_SECONDS + 1)
        with bench.guard("b"):
            pytest.fail("what is out of time is not begun")
    assert bench.results["a"].outcome is Outcome.PASS
    assert bench.results["b"].outcome is Outcome.FAIL
    assert "missed deadlines" in bench.results["b"].sentence


def test_only_the_wanted_checks_are_wanted(tmp_path: Path) -> None:
    bench = bench_in(tmp_path, only=("b",))
    assert bench.wants("a", "b")
    assert not bench.wants("a", "c")
    assert bench_in(tmp_path).wants("a")


def test_side_by_side_raises_once_all_have_ended(tmp_path: Path) -> None:
    ended: list[str] = []

    def fails() -> None:
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        bench_in(tmp_path).side_by_side(fails, lambda: ended.append("second"))
    assert ended == ["second"]


def test_evidence_is_written_as_it_was_given(tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    assert (tmp_path / bench.save("a.bin", b"\x00")).read_bytes() == b"\x00"
    assert json.loads((tmp_path / bench.save("a/b.json", {"x": 1})).read_text(encoding="utf-8")) == {"x": 1}
    series = Series(title="t", x_label="x", y_label="y", x=(1.0,), lines={"l": (2.0,)})
    assert json.loads((tmp_path / bench.save("s.json", series)).read_text(encoding="utf-8"))["title"] == "t"


def test_activities_are_timed_also_when_they_fail(tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    with pytest.raises(ValueError, match="x"), bench.activity("a drill", "drill"):
        raise ValueError("x")
    assert [(stretch.name, stretch.kind) for stretch in bench.activities] == [("a drill", "drill")]


def test_what_could_not_be_looked_at_is_measured_as_a_report_knows_it(tmp_path: Path) -> None:
    never_up, late = bench_in(tmp_path), bench_in(tmp_path)
    never_up.fail_all("The stack did not come up.")
    with late.guard("a", "b", "c"):
        raise OutOfTime("candidate", "Not reached: the time of grading was over.")
    for bench in (never_up, late):
        assert {result.outcome for result in bench.results.values()} == {Outcome.FAIL}
        assert {result.measured for result in bench.results.values()} <= set(UNSEEN)
