"""`python -m harness.by_hand`: what `layout` of compose.yaml does where no harness runs on the host.

Draws the variant of SCENARIO and SEED, lays its world out, puts the faults in, and fills the volumes of the attempt.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from harness import scenario as scenarios
from harness import variant as variants
from harness.attempt import is_public
from harness.errors import ExamError, UsageError
from harness.layout import Layouts, site_in
from harness.proctor.sealed import Sealed, seal
from harness.runtime.compose import description
from harness.runtime.compose.volumes import private_files
from harness.runtime.inside import places
from harness.scenario import Scenario
from harness.workspace import copy_site, first_commit

DONE = Path(places.SEALED) / "sealed.json"


def fill(scenario: Scenario, seed: int, attempt: str) -> None:
    """Fill the volumes where they are mounted; sealed.json comes last, and says that all is there."""
    began = time.monotonic()
    variant = variants.draw(scenario, seed)
    with tempfile.TemporaryDirectory() as folder:
        layouts = Layouts(Path(folder) / "cache", _say)
        site = site_in(Path(folder) / "site")
        copy_site(layouts.broken(scenario, variant), site)
        first_commit(site.workspace)
        _put(site.workspace, Path(places.WORKSPACE), places.UIDS["workspace"])
        _put(site.registry, Path(places.REGISTRY), places.UIDS["registry"])
        _put(site.private, Path(places.DATA), places.UIDS["private"])
        for name, content in private_files(scenario.folder).items():
            _write(Path(places.PRIVATE) / name, content)
        services = scenario.spec.service
        told = description.described(services, scenario.spec.job, scenario.spec.environment, scenario.spec.id)
        _write(Path(places.STACK), json.dumps(told, indent=1).encode())
        _write(Path(places.CLOCK), f"{variant.business_date.isoformat()}\n".encode())
        sealed = Sealed(
            attempt=attempt,
            scenario=scenario.spec.id,
            seed=seed,
            urls=description.urls(services),
            public=is_public(scenario),
            laid_out_seconds=round(time.monotonic() - began, 1),
        )
        seal(sealed, scenario, variant, layouts, Path(places.SEALED))
    readable(Path(places.SEALED))


def readable(folder: Path) -> None:
    """The proctor is another user than the one who lays out: it may read all of its volume."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def _put(source: Path, target: Path, owner: int) -> None:
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    for path in (target, *target.rglob("*")):
        os.chown(path, owner, owner, follow_symlinks=False)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def main() -> int:
    """Fill the volumes once: a stack that comes up again keeps what was done in it."""
    if DONE.is_file():
        return 0
    try:
        name = os.environ.get("SCENARIO", "")
        if not name:
            raise UsageError("SCENARIO says which scenario is laid out; it is empty.")
        seed = os.environ.get("SEED", "")
        scenario = scenarios.find(name)
        if seed and not seed.isdecimal():
            raise UsageError("SEED must be a whole number.", "Leave it empty for a variant drawn at random.")
        drawn = int(seed) if seed else random.SystemRandom().randrange(1, 2**31)
        fill(scenario, drawn, os.environ.get("ATTEMPT", "exam"))
    except ExamError as exc:
        sys.stderr.write(f"error: {exc} {exc.next_step}".strip() + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
