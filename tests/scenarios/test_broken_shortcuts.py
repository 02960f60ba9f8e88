"""The wrong repairs of broken_pipeline: each says what sees it, applies after its form, imports, and lands."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from broken_trees import (
    DATA_SLOTS,
    FORMS,
    SCENARIO,
    SLOT_OF,
    WORKSPACE,
    Landing,
    assert_import,
    assert_land,
    broken,
    draw,
    plain,
    values_of,
)
from trees import assert_clean, loaded

from harness import proof
from harness import variant as variants
from harness.model import Site, Variant
from harness.workspace import digests

SEED = 3
"""Another story than the one that forms are looked at in."""

EXPECT = {
    path.parent.name: proof.read_expect(path.parent, SCENARIO)
    for path in sorted((SCENARIO.folder / "shortcuts").glob("*/apply.py"))
}
APPLY = {name: loaded(SCENARIO.folder / "shortcuts" / name) for name in EXPECT}
WITH_REGISTRY = {"digests_by_hand", "delay_called_rain"}
"""What edits the registry cannot be applied to a tree alone."""

Case = tuple[str, str]
"""A shortcut and a form that it is for."""
CASES = [(name, form_id) for name, expect in EXPECT.items() for form_id in expect.faults if name not in WITH_REGISTRY]

CODE_AS_IT_WAS = {"backfilled_once"}
"""What makes the table right and leaves the code."""
TABLE_AS_IT_WAS = {name for name in EXPECT if name.endswith("_forward_only")}
"""What makes the code right and leaves the table."""


@dataclass(frozen=True)
class Repair:
    """A tree with a form and a wrong repair of it, and its digests: with the form alone, and now."""

    workspace: Path
    given: Mapping[str, str]
    now: Mapping[str, str]


@pytest.fixture(scope="module")
def repairs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Case, Repair]:
    """Every case, with nothing delivered. What a repair would land is landed for all of them by one process.

    A repair that lands and does no more has a process of its own for it, as in a proof.
    """
    folder, landing = tmp_path_factory.mktemp("repairs"), SCENARIO.module("landing")
    sites, given, landings = {}, {}, []

    def later(site: Site, day: date, code: Path | None = None) -> None:
        landings.append(Landing(code or site.workspace, site.workspace, day))

    for case in CASES:
        name, form_id = case
        sites[case] = broken(folder / plain("-".join(case)), form_id, seed=SEED)
        given[case] = digests(sites[case].workspace)
        with pytest.MonkeyPatch.context() as patch:
            if name not in CODE_AS_IT_WAS:
                patch.setattr(landing, "anew", later)
            repair(sites[case], *case)
    assert_land(landings)
    return {case: Repair(site.workspace, given[case], digests(site.workspace)) for case, site in sites.items()}


def repair(site: Site, name: str, form_id: str) -> None:
    """Apply a shortcut; what it raises says which case it was."""
    fault = draw(form_id, SEED)
    variant = Variant(scenario=SCENARIO.spec.id, seed=SEED, values=values_of(SEED), faults=(fault,))
    try:
        APPLY[name].apply(site, variant, fault)
    except Exception as exc:
        exc.add_note(f"shortcut {name} after {form_id}")
        raise


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXPECT)
def test_a_shortcut_says_what_it_does_and_a_check_of_its_form_or_of_what_that_breaks_sees_it(name: str) -> None:
    expect = EXPECT[name]
    assert APPLY[name].__doc__
    assert expect.faults
    assert expect.fails
    assert expect.why.endswith(".")
    assert not set(expect.fails) & set(expect.may_fail)
    seen_by = {SLOT_OF[check] for check in expect.fails}
    if "service" not in seen_by and not seen_by >= {FORMS[form_id].slot for form_id in expect.faults}:
        rows = [row for row in proof.plan(SCENARIO).rows if row.name == name]
        drawn = [fault for row in rows for fault in variants.draw(SCENARIO, row.seed).faults if fault.id == row.fault]
        assert drawn
        assert all(set(expect.fails) <= set(fault.also_breaks) for fault in drawn)


def test_every_form_has_a_shortcut_and_every_check_is_failed_by_one() -> None:
    plan = proof.plan(SCENARIO)
    assert plan.uncovered == ()
    assert plan.unfailed == ()


def test_a_shortcut_is_shown_on_a_variant_with_its_form_and_without_what_hides_it() -> None:
    rows = [row for row in proof.plan(SCENARIO).rows if row.expect is not None]
    drawn = {seed: {fault.id for fault in variants.draw(SCENARIO, seed).faults} for seed in {row.seed for row in rows}}
    assert any(row.expect.hidden_by for row in rows if row.expect)
    for row in rows:
        assert row.fault in drawn[row.seed], row.id
        assert row.expect is not None
        assert not drawn[row.seed] & set(row.expect.hidden_by), row.id


# --- what is done -----------------------------------------------------------------------------------------------------


def test_a_shortcut_changes_the_code_unless_it_mends_the_table_alone(repairs: Mapping[Case, Repair]) -> None:
    unchanged = {case for case, each in repairs.items() if each.now == each.given}
    assert unchanged == {case for case in CASES if case[0] in CODE_AS_IT_WAS}


def test_only_a_shortcut_that_leaves_the_table_gives_the_healthy_code_back(repairs: Mapping[Case, Repair]) -> None:
    healthy = {case for case, each in repairs.items() if each.now == digests(WORKSPACE)}
    assert healthy == {case for case in CASES if case[0] in TABLE_AS_IT_WAS}


@pytest.mark.slow
def test_wrong_repairs_are_clean_import_and_leave_settings_that_can_be_read(repairs: Mapping[Case, Repair]) -> None:
    """Those of the model may define a function anew beside the old one, and use less of what is there."""
    of_data, of_model = (
        [repairs[case].workspace for case in CASES if (FORMS[case[1]].slot in DATA_SLOTS) == data]
        for data in (True, False)
    )
    assert_clean(of_data, "--select", "E9,F", "--ignore", "F401")
    assert_clean(of_model, "--select", "E9,F", "--ignore", "F401,F811,F841")
    assert_import(each.workspace for each in repairs.values())
    for each in repairs.values():
        tomllib.loads((each.workspace / "config.toml").read_text(encoding="utf-8"))
