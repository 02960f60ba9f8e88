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

DAYS = 81
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

    def check(self, number: str) -> contract.Delivery:
        """Raises Refused, whatever is wrong."""
        try:
            return contract.check(self.folder, int(number), self.source, self.day)
        except contract.Refused:
            raise
        except Exception as error:
            raise contract.Refused(f"cannot be read: {error!r}") from error

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
        ledger, kept = read_json(path), {}
        for day in days(today - timedelta(DAYS), today - timedelta(1)):
            one = SourceDay(source, day, today)
            kept[str(day)], made = _landed(one, ledger.get(str(day), {}))
            if made is not None:
                changed[partitions.place(source, day)] = made
            if kept[str(day)]["part"]:
                wanted.add(partitions.place(source, day))
        _yesterday(night, source, kept[str(today - timedelta(1))]["verdicts"])
        write(path, json.dumps(kept, indent=0))
    _publish(changed, wanted, today)
    tell(event="landed", partitions=len(changed), accepted=night.accepted, refused=night.refused)
    return night


def _landed(one: SourceDay, known: dict[str, Any]) -> tuple[dict[str, Any], bytes | None]:
    """The ledger's entry, and the partition's new content where it has to change."""
    digests, verdicts = one.digests(), known.get("verdicts", {})
    path = partitions.place(one.source, one.day)
    part = digest(path.read_bytes()) if path.is_file() else None
    if digests == known.get("digests") and part == known.get("part"):
        return known, None
    accepted, now = [], {}
    for number in digests:
        try:
            accepted.append(one.check(number))
            now[number] = None
            one.release(number)
        except contract.Refused as error:
            now[number] = str(error)
            one.refuse(number, str(error))
    tell(event="judged", source=one.source, day=one.day, verdicts=now, before=verdicts)
    whole = partitions.content(partitions.merged(one.source, one.day, accepted)) if accepted else None
    entry = {"digests": digests, "verdicts": now, "part": digest(whole) if whole else None}
    return entry, whole if entry["part"] != part else None


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
