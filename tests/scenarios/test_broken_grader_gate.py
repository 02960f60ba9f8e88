"""How the grader of broken_pipeline judges a gate: which models it puts to it, and what a night that trains decided."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from harness import scenario as scenarios
from harness.model import JobResult, Site, Variant
from harness.probes.registry import Version
from harness.runtime.inside.keeper import Keeper

SCENARIO = scenarios.find("broken_pipeline")
artifacts: Any = SCENARIO.module("grader.drills.artifacts")
trained: Any = SCENARIO.module("grader.phases.trained")
gated: Any = SCENARIO.module("grader.drills.gated")
held: Any = SCENARIO.module("grader.phases.held")
inputs: Any = SCENARIO.module("grader.drills.inputs")
training: Any = SCENARIO.module("grader.drills.training")
truth: Any = SCENARIO.module("grader.drills.truth")
nights: Any = importlib.import_module("scenario_base.drills.nights")

TODAY = date(2024, 7, 11)
Floats = Any


# --- a night that trains ----------------------------------------------------------------------------------------------


def declared(p: float = 0.15) -> pd.DataFrame:
    """A holdout of seven days, 100 flights each, 25 of them late; everybody has one risk."""
    rows = [
        {
            "date": str(TODAY - timedelta(days=before)),
            "carrier": "XA",
            "flight": n,
            "origin": "JFK",
            **dict.fromkeys(inputs.NUMBERS, 1.5),
            "late": float(n % 4 == 0),
            "p_late": p,
        }
        for before in range(7, 0, -1)
        for n in range(100)
    ]
    return pd.DataFrame(rows)


def made(rows: pd.DataFrame) -> Any:
    version = Version(version="9", run_id="r", source="", tags={}, aliases=(), created=0)
    read_back = artifacts.parsed(rows.to_csv(index=False).encode())
    return training.Made(TODAY, version, None, read_back, inputs.INPUTS, pd.DataFrame())


def night(decision: str, champion: str) -> Any:
    """A night whose champion was version 8 and that trained version 9."""
    result = JobResult(exit_code=0, seconds=9.0, output="")
    before, after = nights.Aliases("8", "7"), nights.Aliases(champion, "7" if champion == "8" else "8")
    return nights.Night(TODAY, result, before, after, (), (made(declared()).version,), {"decision": decision})


@pytest.mark.parametrize(
    ("decision", "champion", "standing", "ok"),
    [
        ("held", "8", 0.25, True),  # the champion is better
        ("promoted", "9", 0.25, False),
        ("held", "9", 0.25, False),  # says one thing and does another
        ("promoted", "8", 0.25, False),
        ("promoted", "9", 0.15, False),  # no better
        ("held", "8", 0.15, True),
        ("promoted", "9", 0.13, True),  # better by .01
        ("held", "8", 0.13, True),  # a gate may ask for more than the margin
        ("promoted", "9", 0.01, True),  # far better
        ("promoted", "8", 0.01, False),
        ("held", "8", 0.01, True),  # far better, but a constant is better still: a gate may ask for that, too
    ],
)
def test_a_night_promotes_what_is_better_than_its_champion_and_nothing_else(
    decision: str, champion: str, standing: float, ok: bool
) -> None:
    judged = gated.night_gated(night(decision, champion), made(declared()), np.full(700, standing))
    assert judged.ok is ok, judged.sentence


def test_a_night_does_not_hold_back_what_is_far_better_and_beats_a_constant() -> None:
    rows = declared()
    rows["p_late"] = np.where(rows["late"] == 1, 0.4, 0.2)
    judged = gated.night_gated(night("held", "8"), made(rows), np.full(700, 0.01))
    assert not judged.ok
    assert "held back" in judged.sentence


def test_a_gain_of_one_day_is_luck_that_a_gate_may_doubt() -> None:
    rows = declared()
    stormy = (rows["date"] == str(TODAY - timedelta(days=1))).to_numpy()
    standing = np.where(stormy, 0.01, 0.15)
    assert gated.night_gated(night("held", "8"), made(rows), standing).ok


def test_a_night_whose_version_declares_no_holdout_is_not_let_off() -> None:
    nothing = made(declared().drop(columns="p_late"))
    assert not gated.night_gated(night("held", "8"), nothing, np.empty(0)).ok


class Even:
    """A model that says 0.2 of every row it can take."""

    def risks(self, role: str, rows: list[dict[str, Any]]) -> Floats:
        assert all(isinstance(row[name], str) for row in rows for name in inputs.TEXTS)
        assert all(not abs(row[name]) > 1e6 for row in rows for name in inputs.NUMBERS)
        return np.full(len(rows), 0.2)


def test_a_model_of_the_grader_s_is_asked_with_whatever_a_holdout_says() -> None:
    rows = declared().astype({"hour": object, "carrier": object})
    rows.loc[0, ["hour", "carrier"]] = ["inf", ""]
    rows.loc[1, "temp_f"] = 1e300
    assert len(gated.declared_risks(Even(), "good", made(rows))) == 700


# --- another line of code ---------------------------------------------------------------------------------------------


def test_a_line_more_is_put_into_all_python_code_and_into_nothing_else(tmp_path: Path) -> None:
    texts = {
        "delays/one.py": "x = 1",
        "bin/start.py": "#!/usr/bin/env python\n",
        "state/memo.py": "x = 1\n",
        "config.toml": "[gate]\n",
    }
    for path, text in texts.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "bin/start.py").chmod(0o755)
    assert trained.code.add_line(Keeper(str(tmp_path), owner=os.getuid()), trained.NOT_CODE) == 2
    found: dict[str, int] = {}
    exec(compile((tmp_path / "delays/one.py").read_text(), "one.py", "exec"), found)
    assert found["x"] == 1
    changed = {path for path, text in texts.items() if (tmp_path / path).read_text() != text}
    assert changed == {"delays/one.py", "bin/start.py"}
    assert os.access(tmp_path / "bin/start.py", os.X_OK), "what can be started still can"


# --- the models that are put to a gate --------------------------------------------------------------------------------


@pytest.fixture
def drill_models(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module of scripts, imported as they do."""
    monkeypatch.syspath_prepend(str(SCENARIO.folder.parent / "_base"))
    before = set(sys.modules)
    yield importlib.import_module("drill_models")
    for name in set(sys.modules) & {"drill_models", "stamp"} - before:
        del sys.modules[name]


def fitted() -> tuple[Pipeline, pd.DataFrame]:
    """A model of one input, and rows with their labels."""
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"x": rng.normal(size=4000)})
    rows["late"] = (rng.uniform(size=4000) < 1 / (1 + np.exp(2 - rows["x"]))).astype(int)
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(rows[["x"]], rows["late"]), rows


@pytest.mark.parametrize("share", [0.3, 1.0, 3.0])
def test_a_model_is_made_worse_by_just_so_much_whether_its_risks_are_too_high_or_too_low(
    drill_models: Any, share: float
) -> None:
    good, rows = fitted()
    rows = rows.sample(8000, replace=True, weights=np.where(rows["late"] == 1, share, 1.0), random_state=2)
    worse = drill_models.moved_by_loss(good, rows, ["x"], 0.0015)
    losses = [log_loss(rows["late"], each.predict_proba(rows[["x"]])[:, 1]) for each in (good, worse)]
    assert losses[1] - losses[0] == pytest.approx(0.0015, abs=1e-5)


def test_a_model_that_is_moved_ranks_as_before(drill_models: Any) -> None:
    good, rows = fitted()
    risks = [each.predict_proba(rows[["x"]])[:, 1] for each in (good, drill_models.moved(good, 8.0))]
    ranked = [roc_auc_score(rows["late"], risk) for risk in risks]
    assert ranked[0] == ranked[1]
    assert log_loss(rows["late"], risks[1]) > 4


Gate = Callable[[pd.DataFrame, Floats, Floats], bool]
"""Whether a challenger's risks replace the champion's on a holdout."""


def gains(rows: pd.DataFrame, new: Floats, old: Floats) -> tuple[float, float]:
    each = training.losses(rows["late"].to_numpy(), old) - training.losses(rows["late"].to_numpy(), new)
    return float(each.mean()), gated.error_over_days(rows["date"], each)


def by_log_loss(errors: float, margin: float = 0.003) -> Gate:
    def gate(rows: pd.DataFrame, new: Floats, old: Floats) -> bool:
        gain, error = gains(rows, new, old)
        return roc_auc_score(rows["late"], new) > 0.55 and gain > max(margin, errors * error)

    return gate


def by_rank(rows: pd.DataFrame, new: Floats, old: Floats) -> bool:
    mine, theirs = (roc_auc_score(rows["late"], risk) for risk in (new, old))
    return bool(mine > theirs + 0.003)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("gate", "wrong"),
    [
        (by_log_loss(0.0), set()),
        (by_log_loss(1.0), set()),
        (by_log_loss(2.0), set()),
        (by_log_loss(0.0, margin=0.0), {"equal_held_back"}),
        (by_rank, {"better_promoted"}),
    ],
)
def test_challengers_tell_honest_gates_from_those_without_a_margin_and_those_that_compare_ranks(
    gate: Gate, wrong: set[str], broken_variant: Variant, broken_healthy: Site
) -> None:
    delivered, root = truth.Deliveries(), broken_healthy.workspace
    feeds = (path for path in (root / "feeds").rglob("*") if path.is_file())
    delivered.add({path.relative_to(root).as_posix(): path.read_bytes() for path in feeds})
    today = broken_variant.business_date
    rows = gated.holdout(delivered.truth(today, 81).rows.reset_index(), today)
    models = inputs.Models(broken_healthy.private)

    def risks(role: str) -> Floats:
        return models.risks(role.removesuffix("_again"), rows[list(inputs.INPUTS)].to_dict("records"))

    decided = {
        check
        for check, champion, challenger, promoted in held.CHALLENGES
        if gate(rows, risks(challenger), risks(champion)) is not promoted
    }
    assert decided == wrong
    least, most = gated.BELOW_MARGIN
    assert least < gated.gain_on(rows, models, *reversed(held.CLOSE)) < most
