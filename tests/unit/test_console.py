"""What the command line says of scores: nothing that was lost is left out, and nothing withheld is called lost."""

from __future__ import annotations

import json

import pytest
from report_records import OUTCOMES, good, scored

from harness import console
from harness.model import Outcome, RunRecord


def said_of(record: RunRecord, capsys: pytest.CaptureFixture[str]) -> list[str]:
    console.side_by_side([("ada", record)])
    return capsys.readouterr().out.splitlines()


def test_skills_are_ranges_and_say_where_they_were_not_examined(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said_of(good(), capsys)
    assert "evaluation\t0\u201320 of 20 (not examined)" in lines
    assert "production\t36 of 65" in lines


def test_a_check_that_passed_and_earned_nothing_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said_of(good(score=scored(follows_promotion=Outcome.FAIL)), capsys)
    (line,) = (line for line in lines if "What follows second tick promises" in line)
    assert "Passed, but it earns nothing" in line
    assert "60 of 60" not in line, "what was measured is no reason to lose points"


def test_what_the_diagnosis_lost_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    told = "\n".join(said_of(good(score=scored(**dict.fromkeys(OUTCOMES, Outcome.PASS))), capsys))
    assert "ada: where the points went" in told, "every check passed, and the diagnosis lost points all the same"
    assert "The diagnosis: its claims came to 2 of 12 points." in told
    assert "The diagnosis: its facts came to 1.5 of 3 points." in told
    assert "cache/key_without_version: No claim names this fault." in told
    assert "mean_risk_7d: 0.2 was said, 0.08312 is true." in told


def test_nothing_lost_is_said_of_a_whole_score_alone(capsys: pytest.CaptureFixture[str]) -> None:
    whole = scored(**dict.fromkeys(OUTCOMES, Outcome.PASS))
    said = tuple(fact.model_copy(update={"points": fact.possible}) for fact in whole.facts)
    claims = tuple(claim.model_copy(update={"points": 12 / len(whole.claims)}) for claim in whole.claims)
    assert "ada: nothing lost" in said_of(
        good(score=whole.model_copy(update={"facts": said, "claims": claims})), capsys
    )


def test_a_candidates_words_are_printed_as_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_json({"incident": ":warning: [bold]stale[/bold]"})
    assert json.loads(capsys.readouterr().out) == {"incident": ":warning: [bold]stale[/bold]"}
