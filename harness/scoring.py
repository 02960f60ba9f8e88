"""Turns check results and a diagnosis into a score. Pure: no clock, no file, no randomness.

Points of checks
- A check of a slot whose fault is drawn is worth its `points`. Any other check is a safeguard: it can only cost.
- A check earns when it PASSes, every check it `needs` PASSes, and, unless it is one of the `shows_in` checks of
  its slot's fault, all of those PASS: a good case that still passes is no merit while the fault is there.
- A safeguard that FAILs costs its `cost`, but costs nothing while a drawn fault that lists it in `also_breaks` is
  not shown to be gone (a `shows_in` check of it, or what that needs, does not PASS). Once the fault is gone, the
  checks that it lists cost together at most what the cheapest of its `shows_in` checks is worth, so that to
  repair a fault never lowers a score.
- INCONCLUSIVE withholds: `low` counts the check as failed, `high` as passed, and so for all that stands on it.
- ERROR (or no result) is ours: it withholds in the same way and the score is not `complete`.
- The sum of checks, diagnosis and facts is clamped to 0..100.

Points of the diagnosis (the unit is one right claim, then scaled)
- Component and kind right: 1. Component only: 1/3. Wrong: -1, so that guessing at even odds gains nothing. The sum
  has the floor 0.
- A claim with component and kind right adds 1/6 for the onset (within a day; "unknown" where the variant holds no
  evidence of it) and 1/6 for a pointer that resolves to something which shows the fault (a fault without pointers
  gives this to any claim of it).
- Full marks are 4/3 a drawn fault; scaled, a full diagnosis of every drawn fault is exactly `points`.
- One claim counts for one fault and one fault for one claim; of all ways to pair them the best one counts.
- A left-over claim that is wholly right about a fault which another claim has earned costs and earns nothing
  (saying a thing in two defensible words is honest). Any other left-over claim is wrong: to try all kinds of a
  component costs.
- A claim whose component is outside the vocabulary says nothing: it costs and earns nothing.
- The first `claims_at_most` claims are read, the others count for nothing.

Facts: each within its relative tolerance of the true value earns fact_points / number of facts.

Skills: what a skill's checks earn and cost, not below 0; communication has the diagnosis and the facts. A skill
with fewer than 10 points or fewer than two independent faults is not examined.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase

from harness.errors import ScenarioError
from harness.model import (
    CheckResult,
    CheckScore,
    CheckSpec,
    Claim,
    ClaimScore,
    Diagnosis,
    DiagnosisRules,
    DrawnFault,
    FactScore,
    FactSpec,
    Outcome,
    Score,
    Skill,
    SkillScore,
    Variant,
)

# In sixths of a right claim: sums stay whole numbers, so that full marks are exact.
PAIR, COMPONENT, WRONG, ONSET, POINTER = 6, 2, -6, 1, 1
FULL = PAIR + ONSET + POINTER

EXAMINED_POINTS = 10.0
EXAMINED_FAULTS = 2
ONSET_DAYS = timedelta(days=1)
EXACT = 1e-9
"""Relative slack of a fact with tolerance 0: what printing a float and reading it back may change."""


def score(
    checks: Sequence[CheckSpec],
    rules: DiagnosisRules,
    variant: Variant,
    results: Mapping[str, CheckResult],
    diagnosis: Diagnosis,
    facts: Mapping[str, float],
    fact_specs: Sequence[FactSpec],
) -> Score:
    """Score a run by the rules in this module's docstring.

    `facts` are the true values by name. Raises ScenarioError for a result, a fault or a check that names a check
    which is not there, a `shows_in` check of another slot, and a fact without a true value.
    """
    _validate(checks, variant, results, facts, fact_specs)
    full = {spec.id: results.get(spec.id) or _no_result(spec) for spec in checks}
    check_scores = tuple(_score_checks(checks, variant, full))
    claim_scores, claim_points = _score_claims(rules, variant, diagnosis)
    fact_scores = tuple(_score_facts(rules, diagnosis, facts, fact_specs))
    said = claim_points + math.fsum(item.points for item in fact_scores)
    low = math.fsum(item.earned for item in check_scores) + said
    high = math.fsum(item.earned + item.withheld for item in check_scores) + said
    return Score(
        low=_clamp(low),
        high=_clamp(high),
        complete=all(item.result.outcome is not Outcome.ERROR for item in check_scores),
        checks=check_scores,
        claims=claim_scores,
        facts=fact_scores,
        skills=tuple(_score_skills(check_scores, rules, variant, said, bool(fact_specs))),
    )


def _clamp(points: float) -> float:
    return round(min(100.0, max(0.0, points)), 6)


def _no_result(spec: CheckSpec) -> CheckResult:
    sentence = "The grader recorded no result for this check."
    return CheckResult(id=spec.id, outcome=Outcome.ERROR, sentence=sentence, limit=spec.limit, unit=spec.unit)


def _validate(
    checks: Sequence[CheckSpec],
    variant: Variant,
    results: Mapping[str, CheckResult],
    facts: Mapping[str, float],
    fact_specs: Sequence[FactSpec],
) -> None:
    slots = {spec.id: spec.slot for spec in checks}
    named = [(f"result {name}", name) for name in results]
    named += [(f"fault {item.id}", name) for item in variant.faults for name in item.shows_in + item.also_breaks]
    named += [(f"check {spec.id}", name) for spec in checks for name in spec.needs]
    for where, name in named:
        if name not in slots:
            raise ScenarioError(f"{where} names the check {name!r}, which the scenario does not have")
    for fault in variant.faults:
        if any(slots[name] != fault.slot for name in fault.shows_in):
            raise ScenarioError(f"fault {fault.id}: a shows_in check belongs to another slot")
    for spec in fact_specs:
        if spec.name not in facts:
            raise ScenarioError(f"the scenario gives no true value for the fact {spec.name!r}")


# --- checks --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _View:
    """The outcomes read in one way: `passed` holds the checks that count as passed."""

    specs: Mapping[str, CheckSpec]
    passed: Collection[str]

    def unmet(self, spec: CheckSpec) -> list[str]:
        return [name for name in spec.needs if name not in self.passed]

    def holds(self, name: str) -> bool:
        return name in self.passed and not self.unmet(self.specs[name])

    def showing(self, fault: DrawnFault) -> list[str]:
        """The checks in which the fault still shows."""
        return [name for name in fault.shows_in if not self.holds(name)]


def _score_checks(
    checks: Sequence[CheckSpec], variant: Variant, results: Mapping[str, CheckResult]
) -> list[CheckScore]:
    specs = {spec.id: spec for spec in checks}
    sure = {name for name, result in results.items() if result.outcome is Outcome.PASS}
    possible = {name for name, result in results.items() if result.outcome is not Outcome.FAIL}
    low, high = _View(specs, sure), _View(specs, possible)
    drawn = {fault.slot: fault for fault in variant.faults}
    scores = []
    for spec in checks:
        fault = drawn.get(spec.slot)
        if fault is None or spec.points == 0:
            scores.append(_safeguard(spec, results[spec.id], variant, low, high))
        else:
            scores.append(_worth_points(spec, results[spec.id], fault, low, high))
    return scores


def _worth_points(spec: CheckSpec, result: CheckResult, fault: DrawnFault, low: _View, high: _View) -> CheckScore:
    earned = spec.points if _earns(spec, fault, low) else 0.0
    best = spec.points if _earns(spec, fault, high) else 0.0
    return CheckScore(
        spec=spec,
        result=result,
        safeguard=False,
        possible=spec.points,
        earned=earned,
        withheld=best - earned,
        why=_why_points(spec, result, fault, low, best > earned),
    )


def _earns(spec: CheckSpec, fault: DrawnFault, view: _View) -> bool:
    return view.holds(spec.id) and (spec.id in fault.shows_in or not view.showing(fault))


def _why_points(spec: CheckSpec, result: CheckResult, fault: DrawnFault, low: _View, withheld: bool) -> str:
    outcome = result.outcome
    if outcome is Outcome.FAIL:
        return "Failed: nothing earned."
    if outcome is Outcome.INCONCLUSIVE:
        return "Too noisy to say: " + ("its points are withheld." if withheld else "nothing earned.")
    if outcome is Outcome.ERROR:
        return "The grader could not measure this; the run is incomplete."
    tail = "its points are withheld" if withheld else "it earns nothing"
    if unmet := low.unmet(spec):
        return f"Passed, but {tail} unless {_names(unmet)} {'pass' if len(unmet) > 1 else 'passes'} as well."
    if spec.id not in fault.shows_in and (showing := low.showing(fault)):
        return f"Passed, but {tail} while the fault shows in {_names(showing)}."
    return "Passed."


def _safeguard(spec: CheckSpec, result: CheckResult, variant: Variant, low: _View, high: _View) -> CheckScore:
    listing = [fault for fault in variant.faults if spec.id in fault.also_breaks]
    there = [fault.id for fault in listing if low.showing(fault)]
    share = min((_share(fault, low.specs, variant) for fault in listing), default=1.0)
    cost = 0.0 if there else round(spec.cost * share, 6)
    earned = 0.0 if spec.id in low.passed else -cost
    best = 0.0 if spec.id in high.passed else -cost
    return CheckScore(
        spec=spec,
        result=result,
        safeguard=True,
        possible=0,
        earned=earned,
        withheld=best - earned,
        why=_why_safeguard(result.outcome, cost, there),
    )


def _share(fault: DrawnFault, specs: Mapping[str, CheckSpec], variant: Variant) -> float:
    """The part of their cost that the checks listed in `also_breaks` still have once the fault is gone."""
    drawn = {item.slot for item in variant.faults}
    listed = [specs[name] for name in fault.also_breaks]
    costs = math.fsum(spec.cost for spec in listed if spec.slot not in drawn or not spec.points)
    cheapest = min((specs[name].points for name in fault.shows_in), default=0.0)
    return min(1.0, cheapest / costs) if costs else 1.0


def _why_safeguard(outcome: Outcome, cost: float, there: Sequence[str]) -> str:
    if outcome is Outcome.PASS:
        return "Safeguard kept."
    if outcome is Outcome.ERROR:
        return "The grader could not measure this safeguard; the run is incomplete."
    if there:
        return f"Safeguard not kept; costs nothing while {_names(there)} is there."
    if outcome is Outcome.INCONCLUSIVE:
        return f"Safeguard measured, but too noisy to say: {cost:g} points are withheld."
    return f"Safeguard broken: costs {cost:g} points."


def _names(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 3 else ", ".join(names[:-1]) + " and " + names[-1]


# --- diagnosis -----------------------------------------------------------------------------------------------


def _score_claims(
    rules: DiagnosisRules, variant: Variant, diagnosis: Diagnosis
) -> tuple[tuple[ClaimScore, ...], float]:
    """What each claim earned, in the order written, then the faults nobody claimed; and the points of all."""
    faults = variant.faults
    unit = rules.points / (FULL * len(faults)) if faults else 0.0
    read = diagnosis.claims[: rules.claims_at_most]
    chosen = _best_pairing(read, faults, rules)
    scores = []
    units = 0
    for claim, index in zip(read, chosen, strict=True):
        fault = faults[index] if index is not None else None
        worth = _left_over(claim, faults, rules) if fault is None else _claim_units(claim, fault, rules)
        units += worth
        scores.append(_claim_score(claim, fault, worth, worth * unit, rules))
    for claim in diagnosis.claims[rules.claims_at_most :]:
        sentence = f"Not read: the first {rules.claims_at_most} claims count."
        scores.append(_no_points(claim.component, claim.kind, "", sentence))
    for index, fault in enumerate(faults):
        if index not in chosen:
            scores.append(_no_points("", "", fault.id, "No claim names this fault."))
    # Whole units first, so that full marks are exactly the points of the rules.
    points = rules.points * max(0, units) / (FULL * len(faults)) if faults else 0.0
    return tuple(scores), points


def _no_points(component: str, kind: str, fault: str, sentence: str) -> ClaimScore:
    return ClaimScore(component=component, kind=kind, fault=fault, points=0, sentence=sentence)


def _claim_units(claim: Claim, fault: DrawnFault, rules: DiagnosisRules) -> int:
    """Sixths of a right claim that a claim is worth for one fault."""
    if claim.component not in rules.components:
        return 0
    if (claim.component, claim.kind) in fault.pairs:
        return PAIR + ONSET * _onset_right(claim, fault) + POINTER * _pointer_right(claim, fault)
    if any(claim.component == component for component, _ in fault.pairs):
        return COMPONENT
    return WRONG


def _left_over(claim: Claim, faults: Sequence[DrawnFault], rules: DiagnosisRules) -> int:
    if claim.component not in rules.components or _is_pair_of_any(claim, faults):
        return 0
    return WRONG


def _is_pair_of_any(claim: Claim, faults: Sequence[DrawnFault]) -> bool:
    return any((claim.component, claim.kind) in fault.pairs for fault in faults)


def _onset_right(claim: Claim, fault: DrawnFault) -> bool:
    if fault.onset is None or claim.onset is None or claim.onset == "unknown":
        return fault.onset is None and claim.onset == "unknown"
    return abs(claim.onset - fault.onset) <= ONSET_DAYS


def _pointer_right(claim: Claim, fault: DrawnFault) -> bool:
    if not fault.pointers:
        return True
    # A folder points at what is in it: features/date=X stands for the pattern features/date=X/*.
    names = (claim.pointer, claim.pointer + "/")
    said = bool(claim.pointer) and claim.resolved
    return said and any(fnmatchcase(name, pattern) for name in names for pattern in fault.pointers)


def _best_pairing(
    claims: Sequence[Claim], faults: Sequence[DrawnFault], rules: DiagnosisRules
) -> tuple[int | None, ...]:
    """For each claim the index of the fault it counts for, or None; the pairing with the most points.

    Claims and faults are few, so the best answer for every set of faults already taken is kept.
    """
    best: dict[int, tuple[int, tuple[int | None, ...]]] = {0: (0, ())}
    for claim in claims:
        worths = [_claim_units(claim, fault, rules) for fault in faults]
        spare = _left_over(claim, faults, rules)
        ahead: dict[int, tuple[int, tuple[int | None, ...]]] = {}
        for taken, (units, chosen) in best.items():
            options: list[tuple[int, int, int | None]] = [(taken, units + spare, None)]
            options += [
                (taken | 1 << index, units + worth, index)
                for index, worth in enumerate(worths)
                if worth > 0 and not taken & 1 << index
            ]
            for key, total, index in options:
                if key not in ahead or total > ahead[key][0]:
                    ahead[key] = (total, (*chosen, index))
        best = ahead
    return max(best.values(), key=lambda item: item[0])[1]


def _claim_score(
    claim: Claim, fault: DrawnFault | None, worth: int, points: float, rules: DiagnosisRules
) -> ClaimScore:
    return ClaimScore(
        component=claim.component,
        kind=claim.kind,
        fault=fault.id if fault else "",
        points=round(points, 6),
        sentence=_claim_sentence(claim, fault, worth, rules),
    )


def _claim_sentence(claim: Claim, fault: DrawnFault | None, worth: int, rules: DiagnosisRules) -> str:
    if claim.component not in rules.components:
        return "The component is not in the vocabulary: this counts for nothing."
    if fault is None:
        return "Wrong: no fault is left that it fits." if worth < 0 else "Right, and said before: this counts once."
    if worth == COMPONENT:
        return "The component is right, the kind is not."
    onset = "the first bad day is right" if _onset_right(claim, fault) else "the first bad day is not"
    pointer = "the pointer shows it" if _pointer_right(claim, fault) else "the pointer does not show it"
    return f"Component and kind are right; {onset}; {pointer}."


# --- facts and skills ----------------------------------------------------------------------------------------


def _score_facts(
    rules: DiagnosisRules, diagnosis: Diagnosis, facts: Mapping[str, float], specs: Sequence[FactSpec]
) -> list[FactScore]:
    possible = rules.fact_points / len(specs) if specs else 0.0
    scores = []
    for spec in specs:
        said, true = diagnosis.facts.get(spec.name), facts[spec.name]
        right = said is not None and abs(said - true) <= max(spec.tolerance, EXACT) * abs(true)
        text = "" if said is None else f"{said:.10g}"
        points = possible if right else 0.0
        scores.append(FactScore(name=spec.name, said=text, true=f"{true:.10g}", points=points, possible=possible))
    return scores


def _score_skills(
    checks: Sequence[CheckScore], rules: DiagnosisRules, variant: Variant, said: float, with_facts: bool
) -> list[SkillScore]:
    scores = []
    for skill in Skill:
        mine = [item for item in checks if item.spec.skill is skill]
        possible = math.fsum(item.possible for item in mine)
        earned = math.fsum(item.earned for item in mine)
        faults = len({item.spec.slot for item in mine if item.possible > 0})
        if skill is Skill.COMMUNICATION:
            possible += rules.points + (rules.fact_points if with_facts else 0.0)
            earned += said
            faults = max(faults, len(variant.faults))
        scores.append(
            SkillScore(
                skill=skill,
                possible=round(possible, 6),
                earned=round(max(0.0, earned), 6),
                examined=possible >= EXAMINED_POINTS and faults >= EXAMINED_FAULTS,
            )
        )
    return scores
