"""Documents do not promise what is not there: their commands, options and links exist, and their example adds up."""

from __future__ import annotations

import random
import re
import shlex
import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from harness import scenario as scenarios
from harness import scoring
from harness import variant as variants
from harness.cli import app
from harness.model import CheckResult, Claim, Diagnosis, DrawnFault, Outcome, Variant

ROOT = Path(__file__).parents[2]
GROUP: Any = typer.main.get_command(app)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))

DOCS = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "reports/README.md")),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "scenarios").glob("*/BRIEF.md"),
        *(ROOT / "scenarios").glob("*/NOTES.md"),
    ]
)

FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)\s]+)\)")
PLACEHOLDERS = {"…", "COMMAND"}


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(text: str) -> str:
    return FENCE.sub("", text)


def shell_lines(text: str) -> Iterator[str]:
    """Commands in fenced blocks of shell, without prompts and comments."""
    for language, block in FENCE.findall(text):
        if language in ("", "sh", "bash", "console"):
            for line in block.splitlines():
                yield line.strip().removeprefix("$ ").removeprefix(".venv/bin/")


def inline(text: str) -> Iterator[str]:
    for code in re.findall(r"`([^`]+)`", prose(text)):
        yield " ".join(code.split()).removeprefix(".venv/bin/")


def commands(path: Path, program: str) -> list[list[str]]:
    """Every command of `program` that a document names, split into words."""
    text = path.read_text(encoding="utf-8")
    lines = [line for line in (*shell_lines(text), *inline(text)) if line.split()[:1] == [program]]
    return [shlex.split(line, comments=True) for line in lines]


def wrong_options(words: list[str]) -> list[str]:
    """Options of an `exam` command that it does not have."""
    command = GROUP.commands[words[1]]
    known = {"--help"} | {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    return [word for word in words[2:] if word.startswith("-") and word.split("=")[0] not in known]


@pytest.mark.parametrize("path", DOCS, ids=named)
def test_exam_commands_and_their_options_exist(path: Path) -> None:
    for words in commands(path, "exam"):
        if len(words) == 1 or words[1] in PLACEHOLDERS or words[1] in ("--help", "--version"):
            continue
        assert words[1] in GROUP.commands, " ".join(words)
        assert not wrong_options(words), " ".join(words)


@pytest.mark.parametrize("path", DOCS, ids=named)
def test_exam_commands_in_blocks_can_be_typed_as_they_stand(path: Path) -> None:
    for line in shell_lines(path.read_text(encoding="utf-8")):
        words = shlex.split(line, comments=True)
        if words[:1] == ["exam"]:
            GROUP.commands[words[1]].make_context(words[1], words[2:])


@pytest.mark.parametrize("path", DOCS, ids=named)
def test_make_targets_and_their_variables_exist(path: Path) -> None:
    for words in commands(path, "make"):
        variables = [word.split("=")[0] for word in words[1:] if "=" in word]
        assert {word for word in words[1:] if "=" not in word} <= TARGETS, " ".join(words)
        assert all(f"$({name})" in MAKEFILE for name in variables), " ".join(words)


@pytest.mark.parametrize("path", DOCS, ids=named)
def test_relative_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(prose(path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), f"{named(path)} leads to {target}"
        assert not anchor or anchor in anchors(found), f"{named(path)} leads to {target}"


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", sorted(GROUP.commands))
def test_every_command_stands_in_some_document(name: str) -> None:
    assert any(words[1:2] == [name] for path in DOCS for words in commands(path, "exam"))


@pytest.mark.parametrize("name", sorted(TARGETS - {"help"}))
def test_every_target_stands_in_some_document_and_has_a_line_of_help(name: str) -> None:
    assert any(name in words[1:] for path in DOCS for words in commands(path, "make"))
    assert re.search(rf"^{name}:.*##", MAKEFILE, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(GROUP.commands))
def test_every_help_ends_with_an_example_that_can_be_typed(name: str) -> None:
    example = re.search(r"Example: `exam ([^`]+)`\s*$", GROUP.commands[name].help)
    assert example, name
    words = shlex.split(example[1])
    assert words[0] == name
    GROUP.commands[name].make_context(name, words[1:])


def test_the_changelog_begins_with_what_is_unreleased_or_a_version() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings
    for heading in headings:
        assert re.fullmatch(r"\[Unreleased\]|\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", heading), heading


def test_the_worked_example_of_scoring_adds_up() -> None:
    """docs/scoring.md, "A worked example", scored by the code."""
    text = " ".join((ROOT / "docs/scoring.md").read_text(encoding="utf-8").split())
    scenario = scenarios.find("stale_predictions")
    drawn = example_variant(scenario)
    result = scoring.score(
        scenario.spec.check,
        scenario.spec.diagnosis,
        drawn,
        {spec.id: example_result(spec.id) for spec in scenario.spec.check},
        Diagnosis(claims=example_claims(drawn), facts={"answers_7d": 100, "mean_risk_7d": 0.2}),
        {"answers_7d": 100, "mean_risk_7d": 0.2, "late_share_7d": 0.2},
        scenario.spec.fact,
    )
    assert f"**{result.low:g}** to **{result.high:g}**" in text
    assert f"**{sum(item.points for item in result.claims):.1f}**" in text
    for skill in result.skills:
        if skill.possible:
            assert f"{skill.skill.value} {skill.earned:g} of {skill.possible:g}" in text, skill.skill
    for fault in drawn.faults:
        assert f"`{fault.id}`" in text


@pytest.mark.parametrize(("wrong", "earned"), [(-scoring.PAIR, "3.5"), (-scoring.PAIR // 3, "6.1")])
def test_what_guessing_earns_is_as_scoring_says(wrong: int, earned: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/scoring.md, "Diagnosis": the same seven claims in every diagnosis, over the seeds 1 to 300."""
    assert scoring.WRONG == -scoring.PAIR
    monkeypatch.setattr(scoring, "WRONG", wrong)
    scenario = scenarios.find("stale_predictions")
    drawn = [variants.draw(scenario, seed) for seed in range(1, 301)]
    said = Diagnosis(claims=tuple(Claim(component=c, kind=k, onset="unknown") for c, k in guesses(drawn, 7)))
    scored = [scoring.score(scenario.spec.check, scenario.spec.diagnosis, one, {}, said, {}, ()) for one in drawn]
    points = statistics.mean(max(0.0, sum(item.points for item in each.claims)) for each in scored)
    assert f"{points:.1f}" == earned
    text = " ".join((ROOT / "docs/scoring.md").read_text(encoding="utf-8").split())
    assert f"earn {earned}" in text


def guesses(drawn: list[Variant], count: int) -> list[tuple[str, str]]:
    """So many pairs, each the one that fits most faults which those before it do not fit."""
    faults = [set(fault.pairs) for variant in drawn for fault in variant.faults]
    chosen: list[tuple[str, str]] = []
    for _ in range(count):
        left = Counter(pair for pairs in faults if pairs.isdisjoint(chosen) for pair in pairs)
        chosen.append(max(sorted(left), key=left.__getitem__))
    return chosen


EXAMPLE = (
    "feature_expiry/age_unchecked",
    "monitor/reference_is_current",
    "registry/alias_frozen",
    "cache/key_without_version",
    "lineage/tags_missing",
)
FAILED = {"repeats_are_fast", "call_budget", "expired_refused", "second_run_same"}


def example_variant(scenario: scenarios.Scenario) -> Variant:
    """The example's faults, as the scenario draws them."""
    values = scenario.story().values(random.Random("example"))
    forms = {form.id: form for form in scenario.forms}
    faults = tuple(forms[name].draw(random.Random(name), values) for name in EXAMPLE)
    return variants.with_faults(variants.draw(scenario, 1), faults)


def example_result(check: str) -> CheckResult:
    outcome = Outcome.FAIL if check in FAILED else Outcome.INCONCLUSIVE if check == "latency" else Outcome.PASS
    return CheckResult(id=check, outcome=outcome, sentence="As the example says.", limit="")


def example_claims(drawn: Variant) -> tuple[Claim, ...]:
    by_slot = {fault.slot: fault for fault in drawn.faults}
    return (
        claim(by_slot["registry"]),
        claim(by_slot["cache"]).model_copy(update={"onset": "unknown"}),
        claim(by_slot["monitor"]),
        Claim(component="registry", kind="version_pinned"),
        Claim(component="gate", kind="gate_ineffective"),
    )


def claim(fault: DrawnFault) -> Claim:
    component, kind = fault.pairs[0]
    return Claim(component=component, kind=kind, onset=fault.onset, pointer=fault.pointers[0])
