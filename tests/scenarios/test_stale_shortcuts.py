"""The solutions and shortcuts of stale_predictions: every one reads, applies, and leaves Python that compiles."""

from __future__ import annotations

import random
import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path

import pytest
from trees import loaded

from harness import proof
from harness import scenario as scenarios
from harness import variant as variants
from harness.layout import Layouts, site_in
from harness.model import Site, Variant
from harness.proof import Plan
from harness.workspace import copy_site, copy_tree, digests

SCENARIO = scenarios.find("stale_predictions")
FORMS = {form.id: form for form in SCENARIO.forms}  # shortcuts import the faults' texts, there once they are loaded
SEED = 1
"""Of the story that other tests lay out, too."""
SHORTCUTS = sorted(path.parent for path in (SCENARIO.folder / "shortcuts").glob("*/apply.py"))
EXPECT = {folder.name: proof.read_expect(folder, SCENARIO) for folder in SHORTCUTS}
SOLUTIONS = sorted(path.parent for path in (SCENARIO.folder / "solutions").glob("*/apply.py"))
NAMED = {
    "restart_only", "newest_version", "cache_off", "cache_flushed", "one_worker", "timestamps_touched",
    "version_hard_coded", "answers_hard_coded", "gate_removed", "never_promotes", "monitor_always", "monitor_never",
    "monitor_alternates", "history_rewritten", "retrain_only", "alias_moved_by_hand", "pinned_to_newest",
    "marker_forged", "expiry_raised", "expiry_never_serves", "feed_faked", "exit_code_only", "tags_by_hand",
    "label_from_config", "dates_renamed", "cache_short_ttl", "poll_daily", "gate_by_auc", "gate_without_margin",
    "gate_for_challengers", "previous_overwritten", "digests_random", "code_digest_by_hand", "tags_of_other_days",
    "label_left_in_log", "log_left_out", "arrivals_only", "refused_but_held", "departure_time_only", "kept_for_seconds",
    "marker_counts_rows", "expired_said_always", "wrong_by_mean_only", "stale_a_day_late",
}  # fmt: skip
SEEN_BY_OTHERS = {"flight_may_be_left_out", "yes_or_no"}
"""A right repair of the fault that breaks something else."""
WITH_HISTORY = {
    "alias_moved_by_hand", "date_hard_coded", "dates_renamed", "history_rewritten", "label_from_config",
    "marker_forged", "old_partitions_removed", "pinned_to_newest", "restart_only", "tags_by_hand", "tags_constant",
    "timestamps_touched", "version_hard_coded",
}  # fmt: skip
"""What is done to partitions, to the registry or to running processes needs a story's nights."""
NOTHING_TO_FREEZE = {"restart_only"}
"""What is done to running processes leaves no trace in a submission."""


@pytest.fixture(scope="session")
def plan() -> Plan:
    return proof.plan(SCENARIO)


def test_every_shortcut_that_was_asked_for_is_there() -> None:
    assert {folder.name for folder in SHORTCUTS} >= NAMED


def test_there_are_two_solutions() -> None:
    assert len(SOLUTIONS) >= 2


@pytest.mark.parametrize("folder", [*SHORTCUTS, *SOLUTIONS], ids=lambda folder: folder.name)
def test_apply_is_there_and_says_what_it_does(folder: Path) -> None:
    module = loaded(folder)
    assert module.__doc__
    assert callable(module.apply)


@pytest.mark.parametrize("folder", SHORTCUTS, ids=lambda folder: folder.name)
def test_expectations_name_known_faults_and_checks(folder: Path) -> None:
    expect = proof.read_expect(folder, SCENARIO)
    assert expect.faults
    assert expect.fails
    assert expect.why.endswith(".")
    assert not set(expect.fails) & set(expect.may_fail)


@pytest.mark.parametrize("folder", SHORTCUTS, ids=lambda folder: folder.name)
def test_a_shortcut_fails_a_check_of_the_fault_that_it_is_for(folder: Path) -> None:
    """So that the fault's points are withheld; a safeguard alone would be cheap."""
    slots = {check.id: check.slot for check in SCENARIO.spec.check}
    expect = proof.read_expect(folder, SCENARIO)
    failing = {slots[check] for check in expect.fails}
    if folder.name not in SEEN_BY_OTHERS:
        assert failing >= {fault.split("/")[0] for fault in expect.faults}


def test_every_form_has_a_shortcut_and_every_check_is_failed_by_one(plan: Plan) -> None:
    assert plan.uncovered == ()
    assert plan.unfailed == ()


# --- on trees and on a laid-out site -------------------------------------------------------------------------------


def compiles(workspace: Path) -> None:
    files = [*workspace.glob("*/*.py")]
    assert files
    for path in files:
        compile(path.read_text(encoding="utf-8"), str(path), "exec")


def state(site: Site) -> dict[str, object]:
    """All that a submission holds: files by digest, and the registry's rows that shortcuts touch."""
    tables = ("registered_model_aliases", "model_version_tags", "model_versions")
    with closing(sqlite3.connect(site.registry / "mlflow.db")) as connection:
        rows = {table: connection.execute(f"select * from {table}").fetchall() for table in tables}
    return {**digests(site.workspace), **rows}


def drawn(form_id: str, seed: int) -> Variant:
    """The world of a seed with one fault in it, whether or not the seed draws it."""
    form, variant = FORMS[form_id], variants.draw(SCENARIO, seed)
    return variants.with_faults(variant, [form.draw(random.Random(f"{seed}/{form.slot}"), variant.values)])


CASES = [(name, form) for name, expect in EXPECT.items() for form in expect.faults]
ON_A_TREE = [(name, form) for name, form in CASES if name not in WITH_HISTORY]
ON_A_SITE = [(name, form) for name, form in CASES if name in WITH_HISTORY]


@pytest.mark.slow
def test_a_shortcut_changes_broken_code_and_its_python_compiles(tmp_path: Path) -> None:
    for number, (name, form) in enumerate(ON_A_TREE):
        variant, site = drawn(form, SEED), site_in(tmp_path / str(number))
        copy_tree(SCENARIO.folder / "workspace", site.workspace)
        (fault,) = variant.faults
        FORMS[form].apply(site, fault)
        broken = digests(site.workspace)
        loaded(SCENARIO.folder / "shortcuts" / name).apply(site, variant, fault)
        compiles(site.workspace)
        tomllib.loads((site.workspace / "config.toml").read_text(encoding="utf-8"))
        assert digests(site.workspace) != broken, (name, form)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # lays out a story, and some faults in it
def test_a_shortcut_that_edits_what_nights_left_changes_a_broken_site(layouts: Layouts, tmp_path: Path) -> None:
    for number, (name, form) in enumerate(ON_A_SITE):
        variant, site = drawn(form, SEED), site_in(tmp_path / str(number))
        broken = layouts.broken(SCENARIO, variant)
        copy_site(broken, site)
        loaded(SCENARIO.folder / "shortcuts" / name).apply(site, variant, variant.faults[0])
        compiles(site.workspace)
        assert (state(site) == state(broken)) == (name in NOTHING_TO_FREEZE), (name, form)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # lays out a story
def test_solutions_replace_the_code_and_keep_the_rest(plan: Plan, layouts: Layouts, tmp_path: Path) -> None:
    for row in (row for row in plan.rows if row.kind == "solution"):
        site = site_in(tmp_path / row.name)
        proof.lay_out_row(row.model_copy(update={"seed": SEED}), SCENARIO, variants.draw(SCENARIO, SEED), layouts, site)
        healthy = layouts.healthy(SCENARIO, variants.draw(SCENARIO, SEED))
        compiles(site.workspace)
        assert not (site.workspace / "delays").exists()
        assert all((site.workspace / "bin" / name).stat().st_mode & 0o100 for name in ("serve", "nightly", "monitor"))
        kept = {name: digest for name, digest in digests(healthy.workspace).items() if name.startswith(("feeds/", "f"))}
        assert kept.items() <= digests(site.workspace).items()
