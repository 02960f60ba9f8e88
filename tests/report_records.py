"""Run records for the tests of reports: one like a real run, one in which every text is hostile and long."""

from __future__ import annotations

import math
from datetime import date

from harness.model import (
    Activity,
    Change,
    CheckResult,
    CheckSpec,
    Claim,
    Diagnosis,
    DiagnosisRules,
    DrawnFault,
    Event,
    FactSpec,
    Outcome,
    RunRecord,
    Score,
    Series,
    Skill,
    Variant,
)
from harness.scoring import score

HOSTILE = (
    "</style></title><script>alert(1)</script><img src=x onerror=alert(1)>"
    "<iframe src='https://example.com'></iframe>\"'`{{ 7*7 }}\x00\x1b[31m\u202egnp.exe\u2066\u200b\ud800 =1+1&amp;]]>"
)


def _spec(check_id: str, slot: str, skill: Skill, points: float = 0, cost: float = 0) -> CheckSpec:
    promise = f"What {check_id.replace('_', ' ')} promises holds."
    return CheckSpec(
        id=check_id, slot=slot, promise=promise, skill=skill, points=points, cost=cost, limit="p95 at most 1.5 times"
    )


CHECKS = (
    _spec("follows_promotion", "model_loading", Skill.PRODUCTION, points=20, cost=4),
    _spec("follows_second_tick", "model_loading", Skill.PRODUCTION, points=20, cost=4),
    _spec("answer_follows_version", "cache", Skill.PRODUCTION, points=15, cost=4),
    _spec("repeats_are_fast", "cache", Skill.PRODUCTION, points=10, cost=4),
    _spec("worse_held_back", "gate", Skill.EVALUATION, points=20, cost=4),
    _spec("latency", "service", Skill.PRODUCTION, cost=4),
    _spec("rows_agree", "service", Skill.PRODUCTION, cost=6),
)
RULES = DiagnosisRules(
    points=12, fact_points=3, components=("cache", "gate", "model loading"), kinds=("resolved_once", "wrong_metric")
)
FACTS = (FactSpec(name="answers_7d", question="How many?"), FactSpec(name="mean_risk_7d", question="Mean?"))
FAULTS = (
    DrawnFault(
        slot="model_loading",
        form="resolved_at_boot",
        values={"version": "3", "day": "2024-05-20"},
        pairs=(("model loading", "resolved_once"),),
        onset=date(2024, 5, 21),
        pointers=("state/predictions/*",),
        symptom="Every answer since 20 May carries version 3, whatever the alias says.",
        shows_in=("follows_promotion",),
    ),
    DrawnFault(
        slot="cache",
        form="key_without_version",
        pairs=(("cache", "cache_key_incomplete"),),
        symptom="A repeated question gets the answer of the version before.",
        shows_in=("answer_follows_version",),
    ),
    DrawnFault(
        slot="gate",
        form="accuracy",
        pairs=(("gate", "wrong_metric"),),
        onset=date(2024, 6, 3),
        symptom="Every challenger is promoted, the constant one too.",
        shows_in=("worse_held_back",),
    ),
)
OUTCOMES = {
    "follows_promotion": (Outcome.PASS, "60 of 60 answers carried version 12 after 6.1 s.", "6.1"),
    "follows_second_tick": (Outcome.PASS, "60 of 60 answers carried version 13 after 5.4 s.", "5.4"),
    "answer_follows_version": (
        Outcome.FAIL,
        "41 of 50 repeated rows still had the answer of version 11 after the alias had moved to 12.",
        "41 of 50 rows differ by up to 0.182",
    ),
    "repeats_are_fast": (Outcome.PASS, "The p50 of a repeat is 1.04 times the reference's.", "1.04 (1.01–1.08)"),
    "worse_held_back": (Outcome.INCONCLUSIVE, "The nightly's decision could not be read in time.", "0.49–0.52"),
    "latency": (Outcome.FAIL, "The p95 is 1.83 times the reference's.", "1.83 (1.71–1.96)"),
    "rows_agree": (Outcome.PASS, "0 of 400 rows differ.", "0"),
}


def variant() -> Variant:
    values = {"business_date": "2024-07-01"}
    return Variant(scenario="stale_predictions", seed=7, values=values, faults=FAULTS)


def _charts() -> tuple[Series, ...]:
    x = tuple(float(second) for second in range(0, 60, 2))
    candidate = tuple(None if 20 < s < 28 else round(22 + 6 * math.sin(s / 5) + s * 0.2, 3) for s in x)
    reference = tuple(round(20 + 2 * math.sin(s / 4), 3) for s in x)
    ranks = tuple(round(step / 10, 1) for step in range(11))
    return (
        Series(
            title="Latency at a moderate rate",
            x_label="seconds",
            y_label="p95, ms",
            x=x,
            lines={"candidate": candidate, "reference": reference},
            limit=30.0,
        ),
        Series(
            title="Served risks, cumulative share",
            x_label="p_late",
            y_label="share of answers",
            x=ranks,
            lines={"candidate": tuple(r**0.5 for r in ranks), "reference": tuple(r**0.6 for r in ranks)},
        ),
    )


def scored(**outcomes: Outcome) -> Score:
    """The score of that run, with other outcomes of the named checks."""
    results = {
        name: CheckResult(
            id=name,
            outcome=outcomes.get(name, outcome),
            sentence=said,
            measured=measured,
            evidence=(f"evidence/{name}/rows.json",),
        )
        for name, (outcome, said, measured) in OUTCOMES.items()
    }
    diagnosis = Diagnosis(
        claims=(
            Claim(
                component="model loading",
                kind="resolved_once",
                onset=date(2024, 5, 22),
                pointer="state/predictions/2024-05-21.csv",
            ),
            Claim(component="gate", kind="resolved_once", onset="unknown"),
            Claim(component="model loading", kind="wrong_metric", onset="unknown"),
        ),
        facts={"answers_7d": 20160, "mean_risk_7d": 0.2},
    )
    facts = {"answers_7d": 20160.0, "mean_risk_7d": 0.08312}
    return score(CHECKS, RULES, variant(), results, diagnosis, facts, FACTS)


def good(**changes: object) -> RunRecord:
    """A record like that of a real run: two faults repaired or unclear, one still there, a safeguard broken."""
    drawn = variant()
    stretches = [
        ("both stacks boot", "boot", 0, 17.2),
        ("seven hidden days", "measure", 17.4, 33),
        ("promotion followed", "drill", 33, 62),
        ("duet at a moderate rate", "load", 62, 122),
        ("next day", "drill", 122, 160.5),
        ("restart", "boot", 160.5, 176),
    ]
    record = RunRecord(
        scenario="stale_predictions",
        title="Stale predictions",
        seed=7,
        attempt="a-20240701-k3f9",
        submission_sha256="9f2c" * 16,
        runtime="process",
        certifiable=False,
        started_at="2026-01-12T10:15:00+00:00",
        seconds=181.4,
        business_date=drawn.business_date,
        variant=drawn,
        score=scored(),
        activities=tuple(Activity(name=n, kind=k, start=s, end=e) for n, k, s, e in stretches),
        charts=_charts(),
        changes=(Change(path="delays/service.py", how="changed"), Change(path="tests/test_cache.py", how="added")),
        journal=(
            Event(
                at="2026-01-12T08:10:00+00:00",
                kind="started",
                data={"minutes": 120},
                previous="0" * 64,
                digest="1a" * 32,
            ),
            Event(
                at="2026-01-12T09:58:21+00:00",
                kind="submitted",
                data={"late": False},
                previous="1a" * 32,
                digest="2b" * 32,
            ),
        ),
        incident="# Incident: last season's answers\n\n## What happened\n\n"
        "Since 21 May every answer came from version 3 …",
        minutes_used=108.4,
        minutes_allowed=120,
        versions={"mlflow": "3.17.2", "bentoml": "1.4.39", "python": "3.11.2"},
    )
    return record.model_copy(update=changes)


def hostile(size: int = 400) -> RunRecord:
    """A record in which a candidate had the say over every text, and made it long."""
    bad = HOSTILE * (1 + size // 100)
    base = good()
    checks = tuple(
        item.model_copy(
            update={
                "result": item.result.model_copy(
                    update={
                        "sentence": bad,
                        "measured": bad,
                        "limit": bad,
                        "evidence": ("javascript:alert(1)", "evidence/../../etc/passwd", "//example.com/x", bad),
                    }
                ),
                "why": bad,
            }
        )
        for item in base.score.checks
    )
    claims = tuple(
        item.model_copy(update={"component": bad, "kind": bad, "sentence": bad}) for item in base.score.claims
    )
    facts = tuple(item.model_copy(update={"said": bad}) for item in base.score.facts)
    series = Series(
        title=bad,
        x_label=bad,
        y_label=bad,
        x=tuple(map(float, range(5000))),
        lines={bad + str(n): tuple(map(float, range(5000))) for n in range(9)},
    )
    changed = {"score": base.score.model_copy(update={"checks": checks * 20, "claims": claims * 20, "facts": facts})}
    texts = dict.fromkeys(
        ("scenario", "title", "attempt", "submission_sha256", "runtime", "started_at", "estimate"), bad
    )
    return base.model_copy(
        update={
            **changed,
            **texts,
            "incident": bad * 500,
            "charts": (series,) * 30,
            "changes": (Change(path=bad, how=bad),) * 1000,
            "journal": (Event(at=bad, kind=bad, data={bad: bad}, previous=bad, digest=bad),) * 1000,
            "activities": (Activity(name=bad, kind=bad, start=0, end=1),) * 500,
            "versions": {bad + str(n): bad for n in range(200)},
            "notes": (bad,) * 200,
        }
    )
