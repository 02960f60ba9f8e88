"""Landing by source and day. A ledger says which deliveries were judged how, so that a night touches what is new.

A partition is made anew from its deliveries when one of them, or the partition itself, is not as the ledger says.
"""

import json
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from risk.base import ROOT, SOURCES, STATE, alert, days, digest, read_json, tell, write
from risk.landing import contract, partitions

DAYS = 90
FEEDS = ROOT / "feeds"


@dataclass
class Night:
    """What became of D-1, by source."""

    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@dataclass
class SourceDay:
    """A source's day while it is landed."""

    source: str
    day: date
    today: date

    @property
    def folder(self) -> Path:
        return FEEDS / self.source / str(self.day)

    @property
    def record(self) -> Path:
        return ROOT / "quarantine" / self.source / f"{self.day}.json"

    def digests(self) -> dict[str, str]:
        """Of everything that lies there of each delivery."""
        numbers = sorted(int(path.stem) for path in self.folder.glob("*.json") if path.stem.isdigit())
        return {str(n): digest(*(path.read_bytes() for path in sorted(self.folder.glob(f"{n}.*")))) for n in numbers}

    def refuse(self, number: str, reason: str) -> None:
        """Into quarantine, with an alert unless it is there already."""
        standing = read_json(self.record)
        if int(standing.get("delivery") or 0) > int(number):
            return
        if standing.get("delivery") != int(number):
            alert("source_quarantined", self.source, f"{self.day}, delivery {number}: {reason}")
            standing = {"released": None}
        said = {"source": self.source, "date": str(self.day), "delivery": int(number), "reason": reason}
        write(self.record, json.dumps({**said, "released": standing.get("released")}, indent=1))

    def release(self, number: str) -> None:
        """A later delivery was accepted."""
        standing = read_json(self.record)
        if standing and not standing.get("released") and int(number) > int(standing.get("delivery") or 0):
            write(self.record, json.dumps({**standing, "released": str(self.today)}, indent=1))


def land(today: date) -> Night:
    """All sources, each for itself; the table changes at the end, in one go."""
    night, wanted, changed = Night(), set(), {}
    for source in SOURCES:
        path = STATE / "landed" / f"{source}.json"
        kept = _source(source, today, read_json(path), changed)
        wanted |= {partitions.place(source, date.fromisoformat(day)) for day, entry in kept.items() if entry["part"]}
        _yesterday(night, source, kept[str(today - timedelta(1))]["verdicts"])
        write(path, json.dumps(kept, indent=0))
    _publish(changed, wanted, today)
    tell(event="landed", partitions=len(changed), accepted=night.accepted, refused=night.refused)
    return night


def _source(source: str, today: date, ledger: dict[str, Any], changed: dict[Path, bytes]) -> dict[str, Any]:
    """The source's new ledger; partitions that have to change go into `changed`."""
    kept: dict[str, Any] = {}
    due: list[tuple[SourceDay, dict[str, str], str | None]] = []
    for day in days(today - timedelta(DAYS), today - timedelta(1)):
        one, known = SourceDay(source, day, today), ledger.get(str(day), {})
        digests, path = one.digests(), partitions.place(source, day)
        part = digest(path.read_bytes()) if path.is_file() else None
        if known and (digests, part) == (known["digests"], known["part"]):
            kept[str(day)] = known
        else:
            due.append((one, digests, part))
    asked = [contract.Question(one.folder, int(n), source, one.day) for one, digests, _ in due for n in digests]
    verdicts = iter(contract.check(asked))
    for one, digests, part in due:
        found = {number: next(verdicts) for number in digests}
        whole = _judged(one, found)
        entry = {number: str(each) if isinstance(each, contract.Refused) else None for number, each in found.items()}
        kept[str(one.day)] = {"digests": digests, "verdicts": entry, "part": digest(whole) if whole else None}
        if whole is not None and digest(whole) != part:
            changed[partitions.place(source, one.day)] = whole
    return kept


def _judged(one: SourceDay, found: dict[str, contract.Delivery | contract.Refused]) -> bytes | None:
    """Note what was refused and released; the partition that the accepted deliveries make."""
    accepted = []
    for number, each in found.items():
        if isinstance(each, contract.Refused):
            one.refuse(number, str(each))
        else:
            one.release(number)
            accepted.append(each)
    rows = partitions.merged(one.source, one.day, accepted) if accepted else []
    return partitions.content(rows) if len(rows) else None


def _yesterday(night: Night, source: str, verdicts: dict[str, str | None]) -> None:
    accepted = [int(number) for number, reason in verdicts.items() if reason is None]
    refused = [int(number) for number, reason in verdicts.items() if reason is not None]
    if accepted:
        night.accepted.append(source)
    if max(refused, default=0) > max(accepted, default=0):
        night.refused.append(source)


def _publish(changed: dict[Path, bytes], wanted: set[Path], today: date) -> None:
    """Partitions of later days stay, should an earlier night be run again; all else that is no partition goes."""
    for path, whole in changed.items():
        write(path, whole)
    later = {partitions.place(source, today + timedelta(n)) for source in SOURCES for n in range(30)}
    for path in set(partitions.files()) - wanted - later:
        path.unlink()
