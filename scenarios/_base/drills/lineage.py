"""Drills of lineage: an answer leads to its version and run, new versions say what made them, old ones are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from harness.model import Finding, Stack
from harness.probes.answers import Answer
from harness.probes.http import exchange
from harness.probes.registry import MODEL, Registry, Version

from .pair import FOLLOW_S, Pair

DATES = ("train_from", "train_to", "holdout_from", "holdout_to")
TAGS = ("data_digest", "code_digest", *DATES, "metric", "metric_value")
DIGEST_LENGTH = 7
"""The shortest digest that is taken for one: an abbreviated commit has as many characters. A word is none: of digests
of that length one in a thousand has no figure in it, of usual ones none."""


def answer_resolves(pair: Pair, before: Mapping[str, Finding]) -> Callable[[Stack], Finding]:
    """Name, version and run of an answer agree with the registry; version and run lead to data and code.

    Asked twice, of the fresh stack and of one that serves another version; `before` holds what was found first.
    """

    def probe(stack: Stack) -> Finding:
        if stack.name in before and not before[stack.name].ok:
            return before[stack.name]
        answer = pair.ask_each(stack, pair.fresh_for(stack, 1))[0]
        problem = _unresolved(pair.registry[stack.name], answer)
        said = answer.model
        which = "promoted" if before else "fresh"
        evidence = (pair.bench.save(f"answer_resolves/{stack.name}-{which}.json", answer),)
        if problem:
            return Finding(False, problem, f"version {said.version}", evidence)
        sentence = f"An answer of {said.name} version {said.version} leads to its run, training data and code."
        return Finding(True, sentence, f"version {said.version}", evidence)

    return probe


def _unresolved(registry: Registry, answer: Answer) -> str:
    said = answer.model
    if said.name != MODEL:
        return f"The answer names the model {said.name[:40]!r}, not {MODEL!r}."
    version = registry.version(said.version) if said.version.isdigit() else None
    if version is None:
        return f"The answer names version {said.version[:40]!r}, which the registry does not have."
    if said.run_id != version.run_id:
        return f"The answer names run {said.run_id[:40]!r}, version {version.version} was made by {version.run_id!r}."
    run = registry.run(version.run_id)
    if run is None or run.lifecycle != "active":
        return f"Run {version.run_id} of version {version.version} is not there any more."
    missing = [tag for tag in ("data_digest", "code_digest") if not _digest(version.tags.get(tag) or run.tags.get(tag))]
    return f"Version {version.version} has no {' and no '.join(missing)}." if missing else ""


def _digest(text: str | None) -> bool:
    said = (text or "").strip()
    one = len(said.split()) == 1 and len(said) >= DIGEST_LENGTH and len(set(said)) > 1
    return one and any(character.isdecimal() for character in said)


def lineage_of(version: Version, night: date) -> list[str]:
    """What is missing from or wrong with the tags of a version that the nightly of `night` registered."""
    wrong = [f"no tag {tag}" for tag in TAGS if not version.tags.get(tag, "").strip()]
    if wrong:
        return wrong
    wrong += [f"{tag} {version.tags[tag][:40]!r} is no digest" for tag in TAGS[:2] if not _digest(version.tags[tag])]
    days = {tag: _date(version.tags[tag]) for tag in DATES}
    wrong += [f"{tag} {version.tags[tag][:40]!r} is no date" for tag, day in days.items() if day is None]
    found = [day for tag in DATES if (day := days[tag]) is not None]
    if not wrong and (found != sorted(found) or found[1] == found[2] or found[3] >= night):
        wrong.append(f"train {found[0]} to {found[1]}, holdout {found[2]} to {found[3]} is no order of days")
    try:
        float(version.tags["metric_value"])
    except ValueError:
        wrong.append(f"metric_value {version.tags['metric_value'][:40]!r} is no number")
    return wrong


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        return None


@dataclass(frozen=True)
class Kept:
    """The versions that must be kept: number -> when it was made, in milliseconds since 1970."""

    created: Mapping[str, int]

    @classmethod
    def of(cls, given: Mapping[str, int], found: Mapping[str, int]) -> Kept:
        """What was given, and what was found beside it: under one number what was given is due."""
        return cls({**found, **given})


def lost(registry: Registry, kept: Kept) -> list[str]:
    """A line for each version that is not there any more or is another one, and for each whose run is gone."""
    wrong = []
    for number, created in kept.created.items():
        version = registry.version(number)
        if version is None:
            wrong.append(f"version {number} is gone")
        elif version.created != created:
            wrong.append(f"version {number} is another one now")
        elif version.run_id and not _active(registry, version.run_id):  # a fault may have made versions without runs
            wrong.append(f"the run of version {number} is gone")
    return wrong


def _active(registry: Registry, run_id: str) -> bool:
    run = registry.run(run_id)
    return run is not None and run.lifecycle == "active"


def fetchable(stack: Stack, version: str) -> str | None:
    """None when the files of a version's model can be fetched, else what the registry says. No model is loaded."""
    base = stack.endpoint("registry")
    status, raw = exchange(
        stack,
        "GET",
        f"{base}/api/2.0/mlflow/model-versions/get-download-uri",
        params={"name": MODEL, "version": version},
    )
    try:
        place = json.loads(raw)["artifact_uri"] if status == 200 else ""
    except (ValueError, KeyError, TypeError):
        place = ""
    if not str(place).startswith("mlflow-artifacts:/"):
        return f"the registry does not say where version {version} lies ({status})"
    path = str(place).removeprefix("mlflow-artifacts:/").lstrip("/")
    status, _ = exchange(stack, "GET", f"{base}/api/2.0/mlflow-artifacts/artifacts/{path}/MLmodel")
    return None if status == 200 else f"the model of version {version} cannot be fetched ({status})"


def previous_kept(pair: Pair, kept: Kept, replaced: Mapping[str, str]) -> Callable[[Stack], Finding]:
    """All versions from before the night are there; the one that was champion before it is gone back to, and serves.

    `replaced` is that version by stack. Of the versions that the candidate was given the files can be fetched, too;
    where serving was seen not to follow the alias (another check's), that is enough for the replaced one.
    """

    def probe(stack: Stack) -> Finding:
        registry = pair.registry[stack.name]
        number = replaced[stack.name]
        mine = stack is pair.candidate
        wrong = lost(registry, kept if mine else Kept({}))
        fetched = [fetchable(stack, each) for each in (number, *(pair.history if mine else ()))]
        wrong += [unfetched for unfetched in fetched if unfetched]
        if wrong:
            return Finding(False, f"After a night {wrong[0]}.", f"{len(wrong)} lost")
        pair.switch(stack, number)
        _go_back(pair, stack, number)
        sentence = (
            f"All {len(kept.created)} versions from before the night are kept; version {number} was gone back to."
        )
        return Finding(True, sentence, "0 lost")

    return probe


def _go_back(pair: Pair, stack: Stack, number: str) -> None:
    if stack is pair.reference or (pair.follows and not pair.pinned):
        pair.await_version(stack, number, FOLLOW_S)
