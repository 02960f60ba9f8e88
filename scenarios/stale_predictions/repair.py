"""An honest repair of whatever was drawn: right code, sound partitions, the aliases where they belong."""

from __future__ import annotations

import shutil

from harness.model import Site, Variant

from .faults.common import aliases, set_alias

REPLACED = ("delays", "bin", "features")
SETTINGS = "config.toml"


def repair(site: Site, healthy: Site, variant: Variant) -> None:
    """Repair a broken site. What the nights left in state/ and in the registry stays, as the brief asks."""
    for name in REPLACED:
        shutil.rmtree(site.workspace / name)
        shutil.copytree(healthy.workspace / name, site.workspace / name)
    shutil.copyfile(healthy.workspace / SETTINGS, site.workspace / SETTINGS)
    for alias, version in aliases(healthy).items():
        set_alias(site, alias, version)
