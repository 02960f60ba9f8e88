"""model_loading: what serving loads is not what the alias says.

In the story somebody put the alias back to a version of the spring for some hours, and then to the champion again;
serving has kept to the old one since. At lay-out the alias stands on the old version and `previous` on the champion;
`live` moves them once serving is up.
"""

from __future__ import annotations

import random
import tomllib
from datetime import date

from scenario_base.in_place import all_of, says

from harness.model import DrawnFault, Form, Site, Stack, Symptom
from harness.probes.registry import Registry

from . import days
from .common import alias_of, aliases, clean_p99, read_log, set_alias

FILE = "delays/service.py"
POINTERS = (FILE, "state/predictions/*")
SPRING = ("2", "1")
"""The versions of March and February in every story; the first that is not champion is served."""

FEATURES_FIRST = """            self._swap(Snapshot(today, self.snapshot.version, self.snapshot.model, partition))
        version = registry.champion()
"""
SHARE = 0.5


def _since(rng: random.Random, values: days.Values) -> date:
    return days.a_day(rng, values, 9, 6)


def _old(site: Site) -> str:
    return next(version for version in SPRING if version != aliases(site)["champion"])


def _put_back(site: Site) -> str:
    """The alias as at the boot of serving, the champion kept under `previous`; returns the version served since."""
    old, champion = _old(site), aliases(site)["champion"]
    set_alias(site, "champion", old)
    set_alias(site, "previous", champion)
    return old


def move_on(stack: Stack, fault: DrawnFault) -> None:
    """The alias goes to the champion again, after serving has booted; nothing happens a second time."""
    registry = Registry(stack)
    old, champion = registry.alias("champion"), registry.alias("previous")
    if old is not None and champion is not None and int(champion.version) > int(old.version):
        registry.set_alias("champion", champion.version)
        registry.set_alias("previous", old.version)


def moved(stack: Stack, fault: DrawnFault) -> str | None:
    """The champion is not the version that serving booted with."""
    champion, old = alias_of(stack, "champion"), alias_of(stack, "previous")
    return None if old in SPRING and champion != old else f"{fault.id}: the aliases are {champion} and {old}"


# --- resolved_once ----------------------------------------------------------------------------------------------------

ONCE = """            self._swap(Snapshot(today, self.snapshot.version, self.snapshot.model, partition))
            return
        version = registry.champion()
"""
COMPARED = """        known = self.snapshot
        if known is None or (known.version.number, known.version.run_id) != (version.number, version.run_id):
            model = registry.load(version, self.settings.scratch / "serving" / "models")
            self._swap(Snapshot(today, version, model, partition))
        self.loaded.set()
"""
LOADED = """        model = registry.load(version, self.settings.scratch / "serving" / "models")
        self._swap(Snapshot(today, version, model, partition))
        self.loaded.set()
"""


def draw_resolved_once(rng: random.Random, values: days.Values) -> DrawnFault:
    """Serving asks for the alias at boot; it was booted while the alias stood on a version of the spring."""
    since = _since(rng, values)
    return DrawnFault(
        slot="model_loading",
        form="resolved_once",
        values={"from": str(since)},
        pairs=(("model loading", "resolved_once"),),
        onset=since,
        pointers=POINTERS,
        symptom=f"Since {since} all answers come from a version of the spring, though the champion is another.",
        shows_in=("follows_promotion", "follows_rollback"),
    )


def apply_resolved_once(site: Site, fault: DrawnFault) -> None:
    """Return before the alias is asked for."""
    site.replace(FILE, FEATURES_FIRST, ONCE)
    site.replace(FILE, COMPARED, LOADED)


def tell_resolved_once(site: Site, fault: DrawnFault) -> None:
    """All answers since come from what was loaded at boot."""
    site.story["served_version"] = {"from": fault.values["from"], "version": _put_back(site)}


# --- partial_reload ---------------------------------------------------------------------------------------------------

LED = """            self._swap(Snapshot(today, self.snapshot.version, self.snapshot.model, partition))
            if not self._leads():
                return
        version = registry.champion()
"""
SWAP = "    def _swap(self, new: Snapshot) -> None:\n"
LEADS = '''    def _leads(self) -> bool:
        """Whether this is the worker that asks the registry: the first that came."""
        self.shared.add("leader", os.getpid())
        return bool(self.shared.get("leader") == os.getpid())

'''


def draw_partial_reload(rng: random.Random, values: days.Values) -> DrawnFault:
    """One worker, the leader, follows the alias; the other keeps what it booted with."""
    since = _since(rng, values)
    return DrawnFault(
        slot="model_loading",
        form="partial_reload",
        values={"from": str(since)},
        pairs=(("model loading", "partial_reload"),),
        onset=since,
        pointers=POINTERS,
        symptom=f"Since {since} about half of the answers come from a version of the spring.",
        shows_in=("follows_promotion", "follows_rollback"),
    )


def apply_partial_reload(site: Site, fault: DrawnFault) -> None:
    """Let one worker ask the registry for itself only."""
    site.replace(FILE, FEATURES_FIRST, LED)
    site.replace(FILE, SWAP, LEADS + SWAP)


def tell_partial_reload(site: Site, fault: DrawnFault) -> None:
    """Half of the answers since come from what was loaded at boot."""
    site.story["mixed_versions"] = {"from": fault.values["from"], "old": _put_back(site), "share": SHARE}


# --- version_pinned ---------------------------------------------------------------------------------------------------

PINNED = """            self._swap(Snapshot(today, self.snapshot.version, self.snapshot.model, partition))
        pinned = self.settings.serving.get("model_version")
        version = registry.version(pinned) if pinned else registry.champion()
"""
WORKERS = "[serving]\nworkers = 2\n"


def _pin(version: str) -> str:
    return f'model_version = "{version}"\n'


def draw_version_pinned(rng: random.Random, values: days.Values) -> DrawnFault:
    """A version of the spring stands in config.toml and is loaded instead of the champion."""
    since = _since(rng, values)
    return DrawnFault(
        slot="model_loading",
        form="version_pinned",
        values={"from": str(since)},
        pairs=(("model loading", "version_pinned"),),
        onset=since,
        pointers=(*POINTERS, "config.toml"),
        symptom=f"Since {since} all answers come from the version of the spring that config.toml names.",
        shows_in=("follows_promotion", "follows_rollback"),
        also_breaks=("champion_quality", "served_scores_drift", "answer_follows_version"),
    )


def apply_version_pinned(site: Site, fault: DrawnFault) -> None:
    """Read a version from config.toml, the last of the spring."""
    site.replace(FILE, FEATURES_FIRST, PINNED)
    site.replace("config.toml", WORKERS, WORKERS + _pin(SPRING[0]))


def tell_version_pinned(site: Site, fault: DrawnFault) -> None:
    """All answers since come from that version; where it is the champion, from the one before."""
    old = _old(site)
    site.replace("config.toml", _pin(SPRING[0]), _pin(old))
    site.story["served_version"] = {"from": fault.values["from"], "version": old}


# --- symptom ----------------------------------------------------------------------------------------------------------


def served_since(site: Site, fault: DrawnFault) -> str:
    """The version of the spring that a broken site serves."""
    if fault.form != "version_pinned":
        return aliases(site)["champion"]
    config = tomllib.loads((site.workspace / "config.toml").read_text(encoding="utf-8"))
    return str(config["serving"]["model_version"])


def visible(broken: Site, healthy: Site, fault: DrawnFault) -> Symptom:
    """Share of answers since the first bad day that come from the version of the spring."""
    since, old = date.fromisoformat(fault.values["from"]), served_since(broken, fault)
    log, clean = read_log(broken, since), read_log(healthy, since)
    by_day = (clean["model_version"] == old).groupby(clean["scored_at"]).mean()
    what = f"share of answers from version {old} while another is champion"
    return Symptom(what, float((log["model_version"] == old).mean()), clean_p99(by_day))


FORMS = (
    Form(
        slot="model_loading",
        name="resolved_once",
        draw=draw_resolved_once,
        apply=apply_resolved_once,
        tell=tell_resolved_once,
        in_place=all_of(says(FILE, ONCE), moved),
        visible=visible,
        live=move_on,
    ),
    Form(
        slot="model_loading",
        name="partial_reload",
        draw=draw_partial_reload,
        apply=apply_partial_reload,
        tell=tell_partial_reload,
        in_place=all_of(says(FILE, LED), moved),
        visible=visible,
        live=move_on,
    ),
    Form(
        slot="model_loading",
        name="version_pinned",
        draw=draw_version_pinned,
        apply=apply_version_pinned,
        tell=tell_version_pinned,
        in_place=all_of(says(FILE, PINNED), says("config.toml", "\nmodel_version = ")),
        visible=visible,
    ),
)
