"""What the numbers of a window say. No server and no Locust here: tests/contract/test_load_driver.py has those."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.probes.load import Duet, join, judged_by, least, ratio, sent_by, valid
from harness.probes.load import _duet as window_of
from harness.probes.load_capacity import Saturation, saturate, share, unsound
from harness.probes.load_plan import Driver, Plan, Sent

SOUND = Driver(finished=True, cpu_share=0.1)


def sent(pair: int, stack: str, ms: float, outcome: str = "ok", risk: float = 0.5, lag: float = 1.0) -> Sent:
    return Sent(
        pair=pair,
        stack=stack,
        intended=pair / 40,
        lag_ms=lag,
        latency_ms=ms,
        outcome=outcome,
        risks=[risk] if outcome == "ok" else None,
        text="" if outcome == "ok" else outcome,
    )


def window(factor: float = 1.0, seed: int = 1, pairs: int = 400, lag: float = 1.0, bursts: bool = False) -> Duet:
    rng = np.random.default_rng(seed)
    each = []
    for pair in range(pairs):
        burst = 10.0 if bursts and (pair // 120) % 2 else 1.0
        each.append(sent(pair, "candidate", factor * burst * (10 + rng.exponential(5)), lag=lag))
        each.append(sent(pair, "reference", burst * (10 + rng.exponential(5)), lag=lag))
    return window_of(each, SOUND, 40, pairs / 40, 10, 0)


def test_identical_stacks_give_an_interval_around_one() -> None:
    found = ratio(window())
    assert found.low < 1 < found.high
    assert found.high - found.low < 0.6


def test_noise_that_hits_both_does_not_move_the_ratio() -> None:
    assert ratio(window(bursts=True), 0.5).point == pytest.approx(1, abs=0.15)


def test_what_the_driver_can_have_added_is_taken_from_the_candidate_alone() -> None:
    found, reduced = window(lag=3.0), least(window(lag=3.0))
    assert reduced.of("candidate") == pytest.approx(np.maximum(found.of("candidate") - 6.0, 0.0))
    assert reduced.of("reference") == pytest.approx(found.of("reference"))


def test_twice_as_slow_is_seen() -> None:
    assert ratio(window(2.0)).low > 1.5


def test_the_interval_is_the_same_for_the_same_seed() -> None:
    assert ratio(window(), seed=3) == ratio(window(), seed=3)


def test_more_windows_narrow_the_interval() -> None:
    one, two = ratio(window(seed=1)), ratio(join(*(window(seed=each) for each in range(1, 7))))
    assert two.high - two.low < one.high - one.low


def test_a_measurement_that_is_extended_is_not_spoilt_by_one_hiccup() -> None:
    """Else a longer look would say less: the lag counts of all that was sent, as it does in one window."""
    still, hiccup = window(seed=1, lag=1.0), window(seed=2, lag=1.0)
    hiccup = replace(hiccup, lag_ms=np.where(np.arange(hiccup.lag_ms.size) < 12, 400.0, 1.0), lag_p99_ms=400.0)
    assert valid(hiccup) is not None
    assert valid(join(hiccup, still, still)) is None
    assert valid(join(hiccup, hiccup, hiccup)) is not None


def test_what_failed_counts_as_the_timeout_and_misses() -> None:
    each = [sent(0, "candidate", 3, "failed"), sent(1, "candidate", 4), sent(2, "candidate", 5, "wrong")]
    found = window_of(each, SOUND, 40, 1, 10, 0)
    assert found.of("candidate").tolist() == [10_000, 4, 5]
    assert found.not_ok("candidate") == 2
    assert found.first["candidate"] == "failed: failed"


def test_an_answer_is_right_by_what_is_expected() -> None:
    each = [sent(0, "candidate", 1, risk=0.3), sent(0, "reference", 1, risk=0.3 + 2e-6)]
    assert [one.outcome for one in judged_by(each, [[0.3]], 1)] == ["ok", "wrong"]


def test_without_expectation_the_reference_is_right() -> None:
    each = [sent(0, "candidate", 1, risk=0.3), sent(0, "reference", 1, risk=0.4), sent(1, "candidate", 1, risk=0.9)]
    judged = judged_by(each, None, 1)
    assert [one.outcome for one in judged] == ["wrong", "ok", "ok"]
    assert "0.300000 in row 0 where 0.400000" in judged[0].text


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (window(lag=80), "send lag"),
        (window(lag=1500), "more than a second late"),
        (window(pairs=0), "nothing was sent"),
        (window_of([], Driver(finished=False, cpu_share=0), 40, 1, 10, 0), "did not finish"),
        (
            window_of(
                [sent(0, s, 1) for s in ("candidate", "reference")], Driver(finished=True, cpu_share=0.9), 1, 1, 1, 0
            ),
            "of a core",
        ),
    ],
)
def test_a_window_that_says_nothing_is_named(bad: Duet, said: str) -> None:
    assert said in str(valid(bad))


def test_trouble_of_the_driver_is_no_excuse_for_answers_that_make_it() -> None:
    quiet = [sent(pair, stack, 5, lag=80) for pair in range(20) for stack in ("candidate", "reference")]
    mine, theirs = (sent(20, stack, 5, "oversized") for stack in ("candidate", "reference"))
    assert "send lag" in str(valid(window_of([*quiet, theirs], SOUND, 40, 1, 10, 0)))
    found = window_of([*quiet, mine], SOUND, 40, 1, 10, 0)
    assert valid(found) is None
    assert found.outcomes("candidate")["wrong"] == 1
    assert found.first["candidate"] == "wrong: oversized"
    twice = join(found, found)
    assert (twice.oversized, twice.evidence()["oversized"]) == ({"candidate": 2}, {"candidate": 2})


def test_a_sound_window_is_valid_and_can_be_saved() -> None:
    found = window()
    assert valid(found) is None
    assert len(found.evidence()["latency_ms"]) == 800


class Driven:
    """Stands in for the driver: answers each plan with `answer`, and keeps the plans."""

    def __init__(self, answer: Callable[[Plan], Sequence[Sent]]) -> None:
        self.plans: list[Plan] = []
        self._answer = answer

    def __call__(self, plan: bytes, seconds: float) -> tuple[bytes, bytes]:
        self.plans.append(Plan.model_validate_json(plan))
        lines = [each.model_dump_json() for each in self._answer(self.plans[-1])]
        return "\n".join(lines).encode(), SOUND.model_dump_json().encode()


URLS = {"reference": "http://reference", "candidate": "http://candidate"}


def at_a_rate(per_s: float, seconds: float, stack: str, outcome: str = "ok", risk: float = 0.5) -> list[Sent]:
    """What a stack answered that gave so many answers a second."""
    ends = [(each + 0.5) / per_s for each in range(int(per_s * seconds))]
    return [
        sent(index, stack, 100, outcome, risk).model_copy(update={"intended": end - 0.1})
        for index, end in enumerate(ends)
    ]


def saturated(candidate: float, reference: float = 100, **more: Any) -> Saturation:
    def answers(plan: Plan) -> list[Sent]:
        (stack,) = plan.urls
        return at_a_rate({"candidate": candidate, "reference": reference}[stack], 5.0, stack)

    with sent_by(Driven(answers)):
        return saturate(URLS, [b"{}"] * 2000, None, 4, **more)


def test_capacity_is_counted_over_the_seconds_after_the_warm_one_and_of_answers_alone() -> None:
    def answers(plan: Plan) -> list[Sent]:
        (stack,) = plan.urls
        failed = at_a_rate(30, 5.0, stack, "failed") if stack == "candidate" else []
        return [*at_a_rate(50, 5.0, stack), *failed]

    with sent_by(Driven(answers)):
        found = saturate(URLS, [b"{}"] * 2000, None, 4)
    assert found.answered == {"reference": (50,) * 4, "candidate": (50,) * 4}
    assert found.rate("candidate") == 50
    assert found.outcomes == {"reference": {"ok": 250}, "candidate": {"ok": 250, "failed": 150}}
    assert found.first["candidate"].startswith("failed")


def test_each_stack_is_asked_alone_and_answers_are_compared() -> None:
    def answers(plan: Plan) -> list[Sent]:
        (stack,) = plan.urls
        return at_a_rate(40, 5.0, stack, risk={"candidate": 0.3, "reference": 0.4}[stack])

    driven = Driven(answers)
    with sent_by(driven):
        found = saturate(URLS, [b"{}"] * 300, None, 4)
    one, other = driven.plans
    assert [set(one.urls), set(other.urls)] == [{"reference"}, {"candidate"}], "in the order that was asked for"
    assert one.under_way == other.under_way > 0
    assert one.bodies == other.bodies
    assert found.outcomes == {"reference": {"ok": 200}, "candidate": {"wrong": 200}}


def test_where_the_stacks_know_different_things_the_reference_still_says_what_a_machine_carries() -> None:
    """Then the candidate's answers are held against its own, and all of the reference's differ from those."""

    def answers(plan: Plan) -> list[Sent]:
        (stack,) = plan.urls
        return at_a_rate(40, 5.0, stack, risk={"candidate": 0.3, "reference": 0.4}[stack])

    with sent_by(Driven(answers)):
        found = saturate(URLS, [b"{}"] * 300, lambda: [[0.3]] * 300, 4)
    assert found.outcomes == {"reference": {"wrong": 200}, "candidate": {"ok": 200}}
    assert found.rate("reference") == found.rate("candidate") == 40
    assert unsound([found]) is None


def test_where_questions_are_used_up_no_second_counts_that_had_none() -> None:
    with sent_by(Driven(lambda plan: at_a_rate(100, 3.6, *plan.urls))):
        found = saturate({"reference": "http://reference"}, [b"{}"] * 360, None, 4)
    assert found.answered == {"reference": (100, 100)}


def test_a_stack_that_uses_its_questions_up_at_once_carries_many() -> None:
    with sent_by(Driven(lambda plan: at_a_rate(1000, 0.36, *plan.urls))):
        found = saturate({"reference": "http://reference"}, [b"{}"] * 360, None, 4)
    assert found.rate("reference") == pytest.approx(1000, rel=0.5)


def test_what_is_right_is_asked_for_once_all_was_sent() -> None:
    """A candidate that is asked for it could keep its answers, and would have only to look them up under load."""
    driven = Driven(lambda plan: at_a_rate(40, 5.0, *plan.urls))
    plans: list[int] = []

    def right() -> list[list[float]]:
        plans.append(len(driven.plans))
        return [[0.5]] * 300

    with sent_by(driven):
        saturate(URLS, [b"{}"] * 300, right, 4)
    assert plans == [2]


def test_the_share_of_half_the_answers_is_a_half() -> None:
    found = share([saturated(50), saturated(50)])
    assert found.point == pytest.approx(0.5, abs=0.01)
    assert found.low <= found.point <= found.high < 0.75
    assert found == share([saturated(50), saturated(50)])


def test_a_hiccup_widens_the_share() -> None:
    """One second of eight without an answer, as on a machine that stood still."""
    sound, other = saturated(100), saturated(100)
    spoilt = sound.model_copy(update={"answered": {**sound.answered, "candidate": (100, 0, 100, 100)}})
    assert share([sound, other]).low == pytest.approx(1.0, abs=0.02)
    assert share([spoilt, other]).low < 0.75 < share([spoilt, other]).high


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (saturated(100, 0.1), "no answer"),
        (saturated(100).model_copy(update={"finished": False}), "did not finish"),
        (saturated(100).model_copy(update={"driver_cpu": {"reference": 0.9, "candidate": 0.1}}), "of a core"),
    ],
)
def test_turns_that_say_nothing_are_named(bad: Saturation, said: str) -> None:
    assert said in str(unsound([saturated(100), bad]))
    assert unsound([saturated(100)]) is None


def test_how_busy_answers_of_the_candidate_make_the_driver_is_no_excuse() -> None:
    busy = saturated(60).model_copy(update={"driver_cpu": {"reference": 0.3, "candidate": 0.95}})
    assert unsound([busy, busy]) is None
    assert share([busy, busy]).high < 0.75


def test_a_candidate_that_answers_nothing_is_no_excuse() -> None:
    assert unsound([saturated(0.1)]) is None
    assert share([saturated(0.1)]).point == 0
