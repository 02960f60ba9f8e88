"""Lays out the healthy and the broken site of a variant, once each, and keeps them to copy from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock

from harness import variant as variants
from harness.errors import EnvironmentFault
from harness.model import Site, Variant
from harness.scenario import Scenario
from harness.workspace import copy_site, copy_tree, file_digest, tree_digest

KEPT = 24
"""Variants whose layouts are kept; the oldest go first (about 30 MB each)."""

MIN_FREE_BYTES = 2 * 2**30

Progress = Callable[[str], None]


class Layouts:
    """The laid-out sites below one cache folder. They are read by many and changed by nobody: copy before use."""

    def __init__(self, cache: Path, progress: Progress = lambda _: None) -> None:
        self._cache = cache
        self._progress = progress

    def healthy(self, scenario: Scenario, variant: Variant) -> Site:
        """The variant's world with no fault in it."""
        with self._entry(scenario, variant, "healthy") as (folder, found):
            site = site_in(folder)
            if not found:
                self._progress("laying out the story's world (once for each variant)")
                copy_tree(scenario.folder / "workspace", site.workspace)
                story, world = scenario.story(), variants.with_faults(variant, [])
                story.lay_out(world, site)
                story.finish(world, site)
        return site

    def broken(self, scenario: Scenario, variant: Variant) -> Site:
        """The same world with the variant's faults in it: what a candidate gets."""
        healthy = self.healthy(scenario, variant)
        drawn = hashlib.sha256(_faults_digest(scenario).encode())
        for fault in variant.faults:
            drawn.update(fault.model_dump_json().encode())
        with self._entry(scenario, variant, f"broken-{drawn.hexdigest()[:12]}") as (folder, found):
            site = site_in(folder)
            if not found:
                self._progress("putting the faults in")
                copy_site(healthy, site)
                variants.break_site(scenario, variant, site)
                facts = scenario.story().facts(variant, site)
                (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
        return site

    def facts(self, scenario: Scenario, variant: Variant) -> dict[str, float]:
        """The true countable facts of the incident, in the broken world."""
        site = self.broken(scenario, variant)
        facts: dict[str, float] = json.loads((site.workspace.parent / "facts.json").read_text(encoding="utf-8"))
        return facts

    @contextlib.contextmanager
    def _entry(self, scenario: Scenario, variant: Variant, name: str) -> Iterator[tuple[Path, bool]]:
        """A cached folder and whether it was there; what is written in the block is kept whole or not at all."""
        self._cache.mkdir(parents=True, exist_ok=True)
        _need_space(self._cache)
        home = self._cache / f"{scenario.spec.id}-{variant.seed}-{source_digest(scenario)[:12]}"
        folder = home / name
        with FileLock(self._cache / f"{home.name}.{name}.lock"):
            found = (folder / ".complete").is_file()
            if not found:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
            try:
                yield folder, found
            except BaseException:
                if not found:
                    shutil.rmtree(folder, ignore_errors=True)
                raise
            (folder / ".complete").touch()
        os.utime(home)
        self._prune()

    def _prune(self) -> None:
        homes = sorted((path for path in self._cache.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
        for old in homes[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)


def site_in(folder: Path) -> Site:
    """The three places of a site below one folder, made if they are not there."""
    site = Site(workspace=folder / "workspace", registry=folder / "registry", private=folder / "private")
    for place in (site.workspace, site.registry, site.private):
        place.mkdir(parents=True, exist_ok=True)
    return site


def source_digest(scenario: Scenario) -> str:
    """Digest of all that a healthy layout depends on.

    That is the healthy tree, the scenario's Python (without faults), and the Python that scenarios share.
    """
    total = hashlib.sha256(tree_digest(scenario.folder / "workspace").encode())
    shared = scenario.base.glob("*.py") if scenario.base is not None else ()
    for path in (*sorted(scenario.folder.glob("*.py")), *sorted(shared)):
        if path.name != "faults.py":
            total.update(path.read_bytes())
    return total.hexdigest()


def _faults_digest(scenario: Scenario) -> str:
    package = scenario.folder / "faults"
    return tree_digest(package) if package.is_dir() else file_digest(scenario.folder / "faults.py")


def _need_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise EnvironmentFault(
            f"Only {free // 2**20} MiB are free where attempts are kept; an attempt needs {MIN_FREE_BYTES // 2**20}.",
            "Free some space, or set EXAM_HOME to a folder on another disk.",
        )
