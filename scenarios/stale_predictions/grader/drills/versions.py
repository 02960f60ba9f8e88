"""Versions that nights register: their tags are those of the night's data and code, and tell them from others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import combinations

from scenario_base.drills.lineage import TAGS, lineage_of
from scenario_base.drills.nights import Night
from scenario_base.drills.pair import SPANS

from harness.model import Finding, Stack
from harness.probes.registry import Version

from .nightly import Nights
from .pair import Pair


@dataclass(frozen=True)
class Made:
    """A version, the business date of the night that registered it, and whether a line of the code was another one."""

    version: Version
    day: date
    recoded: bool = False


def made_in(night: Night, recoded: bool = False) -> list[Made]:
    """The versions that a night registered."""
    return [Made(version, night.day, recoded) for version in night.made]


def first(pair: Pair, nights: Nights) -> Callable[[Stack], Finding]:
    """The version that a night registered has every tag, and a data digest of its own."""

    def probe(stack: Stack) -> Finding:
        night = nights.of(stack)
        made = made_in(night)
        if not made:
            return Finding(False, f"The nightly of {night.day} registered no version.", "no version")
        saved = pair.bench.save(f"new_version_has_lineage/{stack.name}.json", made[-1].version)
        return _finding([*wrong_tags(made), *same_as_old(made[-1], night.known)], made, (saved,))

    return probe


def tell_apart(made: Mapping[str, Sequence[Made]], last: date) -> Callable[[Stack], Finding]:
    """Of all versions that a stack's nights registered: tags are true, and digests differ as data and code do.

    `last` is the night that must have registered one, for it was of another day and of other code.
    """

    def probe(stack: Stack) -> Finding:
        mine = made[stack.name]
        if not any(each.day == last for each in mine):
            return Finding(False, f"The nightly of {last} registered no version.", "no version")
        return _finding([*wrong_tags(mine), *wrong_digests(mine)], mine)

    return probe


def wrong_tags(made: Sequence[Made]) -> Iterator[str]:
    """Tags that are missing, of a wrong form, or of other days than the brief's."""
    for each in made:
        version = each.version
        wrong = lineage_of(version, each.day)
        for name, before in SPANS.items():
            right = str(each.day - timedelta(days=before))
            if not wrong and version.tags[name].strip()[:10] != right:
                wrong = [f"{name} is {version.tags[name][:40]}, and the night's is {right}"]
        yield from (f"version {version.version} of the night {each.day}: {text}" for text in wrong)


def same_as_old(made: Made, known: Sequence[Version]) -> Iterator[str]:
    """Versions of before that have its data digest though they were trained up to another day."""
    tags = made.version.tags
    for old in known:
        if old.tags.get("data_digest") == tags.get("data_digest") and old.tags.get("train_to") != tags.get("train_to"):
            yield f"data_digest is that of version {old.version}, which was trained up to another day"


def wrong_digests(made: Sequence[Made]) -> Iterator[str]:
    """Pairs of versions whose digests are equal where data or code differ, or differ where these are the same."""
    for one, two in combinations(made, 2):
        same = {"data_digest": one.day == two.day, "code_digest": one.recoded == two.recoded}
        for tag, due in same.items():
            if (one.version.tags.get(tag) == two.version.tags.get(tag)) != due:
                both = f"versions {one.version.version} of {one.day} and {two.version.version} of {two.day}"
                what = tag.removesuffix("_digest")
                yield (
                    f"{both} carry two {tag}s for one {what}" if due else f"{both} carry one {tag} for different {what}"
                )


def _finding(wrong: Sequence[str], made: Sequence[Made], saved: tuple[str, ...] = ()) -> Finding:
    if wrong:
        sentence = f"{wrong[0][:1].upper()}{wrong[0][1:]}."
        return Finding(False, sentence, f"{len(wrong)}", saved)
    numbers = ", ".join(each.version.version for each in made)
    sentence = (
        f"Versions {numbers} of {len({each.day for each in made})} nights carry all {len(TAGS)} tags, and true ones."
    )
    return Finding(True, sentence, f"version {numbers}", saved)
