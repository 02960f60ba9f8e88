"""What the forms of training, gate and serving share: the registry, reports and log that a site's nights left."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from harness.model import DrawnFault, Site

from .common import EARLIEST, LATEST, Values, before

ANSWERS, GATE, MONITOR, NIGHTLY, REGISTRY, TRAINING = (
    f"delays/{name}.py" for name in ("answers", "gate", "monitor", "nightly", "registry", "training")
)
VERSIONS = "registry:flight-delay/*"
MODEL = "flight-delay"


@dataclass(frozen=True)
class Registered:
    """A version of the registry: its number, the run that made it, the tags of both, and the night it is as of."""

    number: int
    run_id: str
    tags: Mapping[str, str]
    run_tags: Mapping[str, str]
    as_of: date


def a_night(rng: random.Random, values: Values) -> date:
    """A night from D-EARLIEST to D-LATEST."""
    return before(values, rng.randint(LATEST, EARLIEST))


def edits(*changes: tuple[str, str, str]) -> Callable[[Site, DrawnFault], None]:
    """What applies a form: (file, healthy text, broken text), in this order."""

    def apply(site: Site, _: DrawnFault) -> None:
        for path, old, new in changes:
            site.replace(path, old, new)

    return apply


# --- a laid-out site ------------------------------------------------------------------------------------------------


def registered(site: Site) -> list[Registered]:
    """The versions that nights made, oldest first."""
    with closing(sqlite3.connect(f"file:{site.registry / 'mlflow.db'}?mode=ro", uri=True)) as connection:
        rows = connection.execute("select version, run_id from model_versions where name=? order by version", (MODEL,))
        found = []
        for number, run_id in rows.fetchall():
            of_version = "select key, value from model_version_tags where name=? and version=?"
            tags = dict(connection.execute(of_version, (MODEL, number)).fetchall())
            run = dict(connection.execute("select key, value from tags where run_uuid=?", (run_id,)).fetchall())
            as_of = date.fromisoformat(run["mlflow.runName"].removeprefix("as-of-"))
            found.append(Registered(int(number), str(run_id), tags, run, as_of))
    return found


def since_night(site: Site, night: date) -> list[Registered]:
    """The versions as of a night and those after it."""
    return [each for each in registered(site) if each.as_of >= night]


def holdout(site: Site, version: Registered) -> pd.DataFrame:
    """holdout.csv of the run that made a version."""
    place = next(site.registry.glob(f"artifacts/*/{version.run_id}/artifacts/holdout.csv"))
    return pd.read_csv(place, keep_default_na=False, na_values=[""])


def inputs(site: Site, version: Registered) -> list[str]:
    """The input columns of a version by its signature."""
    with closing(sqlite3.connect(f"file:{site.registry / 'mlflow.db'}?mode=ro", uri=True)) as connection:
        query = "select storage_location from model_versions where name=? and version=?"
        (place,) = connection.execute(query, (MODEL, version.number)).fetchone()
    path = site.registry / "artifacts" / str(place).removeprefix("mlflow-artifacts:/") / "MLmodel"
    signature = path.read_text(encoding="utf-8").partition("\nsignature:")[2]
    return [str(column["name"]) for column in json.loads(signature.partition("inputs: '")[2].partition("'\n")[0])]


def reports(site: Site, first: date) -> list[dict[str, Any]]:
    """The nightly reports from a night on that compared a challenger, oldest first."""
    files = sorted((site.workspace / "state" / "nightly").glob("*.json"))
    found = [json.loads(path.read_text(encoding="utf-8")) for path in files if path.stem >= str(first)]
    return [report for report in found if report["metrics"]]


def log(site: Site, first: date) -> pd.DataFrame:
    """The log from a day on; `day` is the file's."""
    files = sorted((site.workspace / "state" / "predictions").glob("*.csv"))
    read = [
        pd.read_csv(path, dtype=str, keep_default_na=False).assign(day=path.stem)
        for path in files
        if path.stem >= str(first)
    ]
    return pd.concat(read, ignore_index=True)
