"""The score by its rules, on the points that a real scenario declares."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ScenarioError
from harness.model import (
    CheckResult,
    CheckSpec,
    Claim,
    Diagnosis,
    DiagnosisRules,
    DrawnFault,
    FactSpec,
    Outcome,
    Score,
    Skill,
    Variant,
)
from harness.scoring import score

SCENARIO = Path(__file__).parents[2] / "scenarios" / "stale_predictions" / "scenario.toml"
TABLE = tomllib.loads(SCENARIO.read_text(encoding="utf-8"))
CHECKS = [CheckSpec.model_validate(item) for item in TABLE["check"]]
FACTS = [FactSpec.model_validate(item) for item in TABLE["fact"]]
RULES = DiagnosisRules.model_validate(TABLE["diagnosis"])
TRUE_FACTS = {"answers_7d": 20000.0, "mean_risk_7d": 0.083, "late_share_7d": 0.31}
ONSET = date(2024, 6, 3)
RANK = {Outcome.FAIL: 0, Outcome.INCONCLUSIVE: 1, Outcome.PASS: 2}
# One component and two defensible kinds for each slot, and the checks that fail while its fault is there.
FAULTS: dict[str, tuple[str, tuple[str, str], tuple[str, ...]]] = {
    "registry": ("registry", ("alias_not_moved", "history_lost"), ("nightly_moves_alias",)),
    "model_loading": ("model loading", ("resolved_once", "version_pinned"), ("follows_promotion", "follows_rollback")),
    "cache": ("cache", ("cache_key_incomplete", "resolved_once"), ("answer_follows_version",)),
    "nightly": ("ingestion", ("error_swallowed", "truncated_rows"), ("missing_source_said",)),
    "lineage": ("request handling", ("lineage_missing", "history_lost"), ("answer_resolves",)),
    "feature_selection": ("feature store", ("stale_selection", "expired_accepted"), ("newest_valid_features",)),
    "feature_expiry": ("feature store", ("expired_accepted", "stale_selection"), ("expired_refused",)),
    "gate": ("gate", ("gate_ineffective", "wrong_metric"), ("worse_held_back",)),
    "monitor": ("monitor", ("monitor_blind", "error_swallowed"), ("monitor_alerts_on_drift",)),
}


def fault(slot: str, **changes: Any) -> DrawnFault:
    component, kinds, shows_in = FAULTS[slot]
    base = DrawnFault(
        slot=slot,
        form="form",
        pairs=tuple((component, kind) for kind in kinds[:1]),
        onset=ONSET,
        pointers=(f"delays/{slot}.py", f"state/{slot}/*"),
        symptom="something is off",
        shows_in=shows_in,
    )
    return base.model_copy(update=changes)


def variant(*faults: DrawnFault) -> Variant:
    return Variant(scenario=TABLE["id"], seed=1, values={"business_date": "2024-07-01"}, faults=faults)


def draw(seed: int, also_breaks: bool = False) -> Variant:
    """A variant as scenario.toml's strata draw it; with `also_breaks`, each fault excuses a few other checks."""
    rng = random.Random(seed)
    slots = [slot for stratum in TABLE["stratum"] for slot in rng.sample(stratum["slots"], stratum["draw"])]
    faults = []
    for slot in slots:
        others = [spec.id for spec in CHECKS if spec.slot != slot]
        listed = tuple(rng.sample(others, rng.randint(0, 5))) if also_breaks else ()
        shows_in = tuple(
            rng.sample([spec.id for spec in CHECKS if spec.slot == slot and spec.points], rng.randint(1, 2))
        )
        faults.append(fault(slot, also_breaks=listed, shows_in=shows_in))
    return variant(*faults)


def results(outcomes: Mapping[str, Outcome] | None = None, default: Outcome = Outcome.PASS) -> dict[str, CheckResult]:
    given_outcomes = outcomes or {}
    return {
        spec.id: CheckResult(id=spec.id, outcome=given_outcomes.get(spec.id, default), sentence="It was measured.")
        for spec in CHECKS
    }


def truth(drawn: Variant) -> Diagnosis:
    claims = tuple(
        Claim(component=f.pairs[0][0], kind=f.pairs[0][1], onset=f.onset or "unknown", pointer=f.pointers[0])
        for f in drawn.faults
    )
    return Diagnosis(claims=claims, facts=TRUE_FACTS)


def scored(drawn: Variant, outcomes: Mapping[str, Outcome] | None = None, diagnosis: Diagnosis | None = None) -> Score:
    said = Diagnosis() if diagnosis is None else diagnosis
    return score(CHECKS, RULES, drawn, results(outcomes), said, TRUE_FACTS, FACTS)


def earned(result: Score, check_id: str) -> float:
    return next(item.earned for item in result.checks if item.spec.id == check_id)


seeds = st.integers(0, 500)
outcomes_of_a_run = st.fixed_dictionaries({spec.id: st.sampled_from(list(RANK)) for spec in CHECKS})


@given(seed=seeds)
@settings(max_examples=60, deadline=None)
def test_every_variant_is_worth_a_hundred(seed: int) -> None:
    drawn = draw(seed)
    result = scored(drawn, diagnosis=truth(drawn))
    assert result.low == result.high == 100
    assert result.complete
    assert sum(item.possible for item in result.skills) == 100


@given(seed=seeds)
@settings(max_examples=60, deadline=None)
def test_an_untouched_stack_earns_at_most_five(seed: int) -> None:
    drawn = draw(seed)
    broken = {name: Outcome.FAIL for f in drawn.faults for name in f.shows_in}
    assert scored(drawn, broken).high <= 5


@given(seed=seeds, outcomes=outcomes_of_a_run, data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_better_outcome_never_lowers_a_score(seed: int, outcomes: dict[str, Outcome], data: st.DataObject) -> None:
    drawn = draw(seed, also_breaks=True)
    diagnosis = data.draw(st.sampled_from([Diagnosis(), truth(drawn)]))
    which = data.draw(st.lists(st.sampled_from(sorted(outcomes)), min_size=1, max_size=4))
    better = outcomes | {
        name: data.draw(st.sampled_from([o for o in RANK if RANK[o] >= RANK[outcomes[name]]])) for name in which
    }
    before, after = scored(drawn, outcomes, diagnosis), scored(drawn, better, diagnosis)
    assert before.low <= after.low + 1e-6
    assert 0 <= before.low <= before.high <= 100
    settled_low = {k: Outcome.FAIL if o is Outcome.INCONCLUSIVE else o for k, o in outcomes.items()}
    settled_high = {k: Outcome.PASS if o is Outcome.INCONCLUSIVE else o for k, o in outcomes.items()}
    assert before.low == pytest.approx(scored(drawn, settled_low, diagnosis).low)
    assert before.high >= scored(drawn, settled_high, diagnosis).high - 1e-6


words = st.sampled_from([*RULES.components, "coffee machine"])
claims = st.builds(
    Claim,
    component=words,
    kind=st.sampled_from(RULES.kinds),
    onset=st.one_of(st.none(), st.just("unknown"), st.dates(date(2024, 6, 1), date(2024, 6, 5))),
    pointer=st.sampled_from(["", "delays/cache.py", "state/gate/x", "README.md"]),
)


@given(seed=seeds, said=st.lists(claims, max_size=12))
@settings(max_examples=200, deadline=None)
def test_claims_stay_within_their_points(seed: int, said: list[Claim]) -> None:
    drawn = draw(seed)
    result = scored(drawn, diagnosis=Diagnosis(claims=tuple(said)))
    with_nothing = scored(drawn)
    assert 0 <= result.low - with_nothing.low <= RULES.points
    unclaimed = [item for item in result.claims if not item.component]
    assert len(result.claims) - len(unclaimed) == len(said)
    paired = [item.fault for item in result.claims if item.fault]
    assert sorted(paired) == sorted(f.id for f in drawn.faults)


def test_other_checks_of_a_slot_earn_nothing_while_its_fault_shows() -> None:
    drawn = variant(fault("registry"))
    result = scored(drawn, {"nightly_moves_alias": Outcome.FAIL})
    assert earned(result, "champion_quality") == earned(result, "nightly_champion_served") == 0
    assert "nightly_moves_alias" in next(c.why for c in result.checks if c.spec.id == "champion_quality")


def test_a_check_needs_what_it_names() -> None:
    drawn = variant(fault("cache", shows_in=("answer_follows_version",)))
    result = scored(drawn, {"answer_follows_features": Outcome.FAIL})
    assert earned(result, "answer_follows_version") == 5
    assert earned(result, "repeats_are_fast") == earned(result, "call_budget") == 0


def test_a_broken_safeguard_costs_and_a_kept_one_gives_nothing() -> None:
    drawn = variant(fault("cache"))
    result = scored(drawn, {"rows_agree": Outcome.FAIL})
    assert result.low == 17 - 6
    item = next(c for c in result.checks if c.spec.id == "rows_agree")
    assert item.safeguard
    assert item.possible == 0
    assert item.earned == -6


def test_what_a_fault_breaks_by_nature_costs_nothing_until_it_is_gone() -> None:
    drawn = variant(fault("model_loading", also_breaks=("champion_quality",)), fault("cache"))
    there = {"champion_quality": Outcome.FAIL, "follows_promotion": Outcome.FAIL}
    assert earned(scored(drawn, there), "champion_quality") == 0
    assert earned(scored(drawn, {"champion_quality": Outcome.FAIL}), "champion_quality") == -4


def test_costs_after_a_repair_stay_below_what_the_repair_earned() -> None:
    listed = ("champion_quality", "rows_agree", "latency")  # cost 4 + 6 + 4
    drawn = variant(fault("cache", also_breaks=listed))  # answer_follows_version is worth 5
    result = scored(drawn, dict.fromkeys(listed, Outcome.FAIL))
    assert sum(earned(result, name) for name in listed) == pytest.approx(-5)


def test_inconclusive_makes_a_range_and_error_an_incomplete_run() -> None:
    drawn = variant(fault("gate"))
    result = scored(drawn, {"worse_held_back": Outcome.INCONCLUSIVE})
    assert (result.low, result.high, result.complete) == (0, 17, True)
    result = scored(drawn, {"better_promoted": Outcome.ERROR})
    assert (result.low, result.high, result.complete) == (12, 17, False)


def test_a_check_without_a_result_is_an_error() -> None:
    drawn = variant(fault("gate"))
    some = results()
    del some["better_promoted"]
    result = score(CHECKS, RULES, drawn, some, Diagnosis(), TRUE_FACTS, FACTS)
    assert not result.complete
    assert len(result.checks) == len(CHECKS)


@pytest.mark.parametrize(
    ("said", "sixths"),
    [
        ([("registry", "alias_not_moved", ONSET, "delays/registry.py")], 8),
        ([("registry", "alias_not_moved", ONSET + timedelta(days=1), "state/registry/2024-06-04.json")], 8),
        ([("registry", "alias_not_moved", ONSET + timedelta(days=2), "state/registry")], 7),
        ([("registry", "alias_not_moved", "unknown", "README.md")], 6),
        ([("registry", "alias_not_moved", None, "")], 6),
        ([("registry", "wrong_metric", ONSET, "delays/registry.py")], 2),
        ([("cache", "alias_not_moved", ONSET, "delays/registry.py")], 0),  # -6, with the floor
        ([("registry", "alias_not_moved", None, ""), ("gate", "wrong_metric", None, "")], 0),  # guessing costs
        ([("registry", "alias_not_moved", None, ""), ("registry", "alias_not_moved", ONSET, "")], 7),  # the best
        (
            [("registry", "alias_not_moved", None, ""), ("registry", "wrong_metric", None, "")],
            2,
        ),  # more for one
        ([("registry", "alias_not_moved", None, ""), ("coffee", "wrong_metric", None, "")], 6),
        ([("registry", kind, None, "") for kind in RULES.kinds[1:9]], 0),
        ([("cache", kind, None, "") for kind in RULES.kinds[:8]] + [("registry", "alias_not_moved")], 0),
    ],
)
def test_claims_by_the_rules(said: list[tuple[Any, ...]], sixths: int) -> None:
    drawn = variant(fault("registry"))
    read = tuple(Claim(**dict(zip(("component", "kind", "onset", "pointer"), item, strict=False))) for item in said)
    result = scored(drawn, diagnosis=Diagnosis(claims=read))
    assert result.low - scored(drawn).low == pytest.approx(12 * sixths / 8)


def test_unknown_is_right_where_there_is_no_evidence() -> None:
    drawn = variant(fault("registry", onset=None, pointers=()))
    claim = Claim(component="registry", kind="alias_not_moved", onset="unknown")
    assert scored(drawn, diagnosis=Diagnosis(claims=(claim,))).low == 17 + 12
    dated = claim.model_copy(update={"onset": ONSET})
    assert scored(drawn, diagnosis=Diagnosis(claims=(dated,))).low == pytest.approx(17 + 12 * 7 / 8)


def test_a_pointer_to_nothing_earns_nothing() -> None:
    drawn = variant(fault("registry"))
    claim = Claim(component="registry", kind="alias_not_moved", onset=ONSET, pointer="state/registry/x", resolved=False)
    assert scored(drawn, diagnosis=Diagnosis(claims=(claim,))).low == pytest.approx(17 + 12 * 7 / 8)


def test_claims_are_paired_for_the_best_total() -> None:
    both = fault("feature_selection", pairs=(("feature store", "stale_selection"), ("feature store", "clock_skew")))
    one = fault("feature_expiry", pairs=(("feature store", "stale_selection"),))
    said = (
        Claim(component="feature store", kind="stale_selection"),
        Claim(component="feature store", kind="clock_skew"),
    )
    result = scored(variant(both, one), diagnosis=Diagnosis(claims=said))
    assert [item.fault for item in result.claims] == [one.id, both.id]


def test_facts_within_their_tolerance() -> None:
    drawn = variant(fault("registry"))
    said = Diagnosis(facts={"answers_7d": 20001, "mean_risk_7d": 0.0845, "late_share_7d": 0.9, "other": 1})
    result = scored(drawn, diagnosis=said)
    assert [item.points for item in result.facts] == [0, 1, 0]
    assert result.low == 17 + 1


def test_a_skill_with_one_fault_is_not_examined() -> None:
    drawn = draw(3)
    skills = {item.skill: item for item in scored(drawn, diagnosis=truth(drawn)).skills}
    assert list(skills) == list(Skill)
    assert skills[Skill.PRODUCTION].examined
    assert skills[Skill.COMMUNICATION].examined
    assert skills[Skill.COMMUNICATION].possible == skills[Skill.COMMUNICATION].earned == 15
    assert not skills[Skill.EVALUATION].examined  # 17 points, but one fault
    assert not skills[Skill.MODELLING].examined


def test_authors_mistakes_are_said() -> None:
    check = CheckSpec(id="a", slot="s", promise="p", skill=Skill.DATA, points=1, limit="l")
    rules = DiagnosisRules(points=1, components=("c",), kinds=("k",))
    good = DrawnFault(slot="s", form="f", pairs=(("c", "k"),), symptom="s", shows_in=("a",))
    bad = good.model_copy(update={"also_breaks": ("nowhere",)})
    elsewhere = good.model_copy(update={"slot": "t"})
    known: dict[str, CheckResult] = {}
    for drawn in (bad, elsewhere):
        with pytest.raises(ScenarioError):
            score([check], rules, variant(drawn), known, Diagnosis(), {}, [])
    unknown = {"b": CheckResult(id="b", outcome=Outcome.PASS, sentence="s")}
    with pytest.raises(ScenarioError):
        score([check], rules, variant(good), unknown, Diagnosis(), {}, [])
    with pytest.raises(ScenarioError):
        score([check], rules, variant(good), known, Diagnosis(), {}, [FactSpec(name="n", question="q")])
