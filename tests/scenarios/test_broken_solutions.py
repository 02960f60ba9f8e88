"""The honest rewrites of broken_pipeline: they land alike what is delivered, and live through nights by the brief.

Landing is compared with a fold over the deliveries that is made here, and the published rules are broken one by one.
"""

from __future__ import annotations

import csv
import hashlib
import importlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from kits import told
from trees import loaded

from harness import scenario as scenarios
from harness.model import Site
from harness.runtime import ports
from harness.waiting import until

SCENARIO = scenarios.find("broken_pipeline")
SOLUTIONS = sorted(path.parent for path in (SCENARIO.folder / "solutions").glob("*/apply.py"))
LAND = {"one_table": ("late.table", "rebuild"), "by_source": ("risk.landing.sources", "land")}
SEED = 3
DAYS = 14
"""Enough for the refused days, the wrong distances and the short file of a story."""

KEY = ["date", "carrier", "flight", "origin"]
ROUNDED = 0.02
"""What the two digits of a converted value may hide, in the table's units."""

by_solution = pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda folder: folder.name)

deliveries, world = (SCENARIO.module(name) for name in ("deliveries", "world"))
servers: Any = importlib.import_module("scenario_base.servers")


def environment(**more: str) -> dict[str, str]:
    """What a job is run with: this environment's programs, bytecode wanted."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    quiet = {"DO_NOT_TRACK": "1", "BENTOML_DO_NOT_TRACK": "True", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return {**kept, **quiet, "PATH": path, **more}


@pytest.fixture(scope="module")
def drawn() -> dict[str, Any]:
    found: dict[str, Any] = SCENARIO.story().values(random.Random(SEED))
    return found


@pytest.fixture(scope="module")
def today(drawn: dict[str, Any]) -> date:
    return date.fromisoformat(drawn["business_date"])


@pytest.fixture(scope="module")
def truth(drawn: dict[str, Any]) -> Any:
    return world.read(drawn)


def workspace(solution: Path, folder: Path) -> Path:
    """The solution's code, with nothing delivered yet."""
    shutil.copytree(solution / "workspace", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def land(solution: Path, here: Path, day: date) -> None:
    """The landing of a night, by the solution's own code; it is imported anew, as a job of its own would."""
    module, name = LAND[solution.name]
    package = module.partition(".")[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.syspath_prepend(here)
        try:
            getattr(importlib.import_module(module), name)(day)
        finally:
            for loaded in [each for each in sys.modules if each.partition(".")[0] == package]:
                del sys.modules[loaded]


def table(here: Path) -> pd.DataFrame:
    """All rows, sorted by key; folder names are no columns."""
    frames = [pd.read_parquet(path, partitioning=None) for path in sorted(here.glob("table/**/*.parquet"))]
    return pd.concat(frames).sort_values(KEY, ignore_index=True)


def records(here: Path) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (path.parent.name, path.stem): json.loads(path.read_text(encoding="utf-8"))
        for path in here.glob("quarantine/*/*.json")
    }


def alerts(here: Path) -> list[dict[str, Any]]:
    path = here / "state" / "alerts.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


# --- what a solution is -----------------------------------------------------------------------------------------------


def test_there_are_two_solutions() -> None:
    assert len(SOLUTIONS) >= 2


@by_solution
def test_a_solution_says_what_it_does_and_replaces_the_code_only(solution: Path, tmp_path: Path) -> None:
    module = loaded(solution)
    site = Site(tmp_path / "workspace", tmp_path / "registry", tmp_path / "private")
    kept = [
        "feeds/JFK/2024-07-08/1.json",
        "table/flights.parquet",
        "state/alerts.jsonl",
        "quarantine/EWR/2024-07-08.json",
    ]
    for name in [*kept, "delays/config.py", "bin/nightly", "config.toml"]:
        (site.workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (site.workspace / name).write_text("as it was", encoding="utf-8")
    module.apply(site, None, None)
    assert module.__doc__
    assert not (site.workspace / "delays").exists()
    assert {(site.workspace / name).read_text(encoding="utf-8") for name in kept} == {"as it was"}
    assert all(
        (site.workspace / "bin" / job).stat().st_mode & 0o100 for job in ("serve", "nightly", "train", "monitor")
    )


@by_solution
def test_the_python_of_a_solution_compiles(solution: Path) -> None:
    files = sorted((solution / "workspace").rglob("*.py"))
    assert files
    for path in files:
        compile(path.read_text(encoding="utf-8"), str(path), "exec")


# --- landing ----------------------------------------------------------------------------------------------------------


def delivered(truth: Any, drawn: dict[str, Any], today: date) -> list[Any]:
    """What has come by the night of `today` for its last days."""
    first, last = today - timedelta(days=DAYS), today - timedelta(days=1)
    return [each for each in deliveries.deliveries(truth, drawn, first, last) if each.night <= today]


def put(here: Path, found: list[Any]) -> None:
    for each in found:
        deliveries.write_files(here / "feeds", each.files())


def expected(truth: Any, found: list[Any], drawn: dict[str, Any]) -> pd.DataFrame:
    """Keys with what they must hold: of each source-day the rows of its acceptable deliveries, the later ones first."""
    parts = []
    for each in sorted(found, key=lambda delivery: -delivery.number):
        if each.flights is not None and not _refused(each, drawn):
            rows = each.flights.rename(columns=deliveries.FLIGHTS)
            miles = rows["distance_mi"] / (1.609344 if each.units["distance"] == "km" else 1.0)
            parts.append(rows.assign(date=str(each.day), origin=each.source, distance_mi=miles))
    rows = pd.concat(parts).drop_duplicates(KEY)
    sky = truth.weather.assign(hour=truth.weather["hour"].astype(int))
    rows = rows.assign(hour=rows["sched_dep"].str[11:13].astype(int))
    return rows.merge(sky, how="left", on=["date", "origin", "hour"]).sort_values(KEY, ignore_index=True)


def _refused(each: Any, drawn: dict[str, Any]) -> bool:
    of_bad = each.source == drawn["bad"]["source"] and str(each.day) in drawn["bad"]["days"]
    return each.number == 1 and (of_bad or {"source": each.source, "date": str(each.day)} == drawn["short"])


@pytest.fixture(scope="module")
def landed(
    truth: Any, drawn: dict[str, Any], today: date, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], Path]:
    """A solution's workspace after the night of `today`; read only."""

    @cache
    def found(solution: Path) -> Path:
        here = workspace(solution, tmp_path_factory.mktemp("landed") / "here")
        put(here, delivered(truth, drawn, today))
        land(solution, here, today)
        return here

    return found


@pytest.mark.slow
@by_solution
def test_the_table_holds_what_was_delivered(
    solution: Path, truth: Any, drawn: dict[str, Any], today: date, landed: Callable[[Path], Path]
) -> None:
    lies, wanted = table(landed(solution)), expected(truth, delivered(truth, drawn, today), drawn)
    pd.testing.assert_frame_equal(
        lies[[*KEY, "dest", "sched_dep"]], wanted[[*KEY, "dest", "sched_dep"]], check_dtype=False
    )
    for name in (*world.MEASURED, *world.WEATHER):
        ours, theirs = lies[name].astype(float), wanted[name].astype(float)
        assert (ours.isna() == theirs.isna()).all(), name
        assert ((ours - theirs).abs().fillna(0) < ROUNDED).all(), name


@by_solution
def test_refusals_are_recorded_said_once_and_released(
    solution: Path, drawn: dict[str, Any], today: date, landed: Callable[[Path], Path], tmp_path: Path
) -> None:
    here, bad, short = tmp_path / "here", drawn["bad"], drawn["short"]
    shutil.copytree(landed(solution), here)
    first, said = table(here), alerts(here)
    land(solution, here, today)
    found = records(here)
    assert set(found) == {*((bad["source"], day) for day in bad["days"]), (short["source"], short["date"])}
    assert {key for key, record in found.items() if record["released"] is None} == {(bad["source"], bad["unmended"])}
    assert {record["released"] for record in found.values()} == {None, str(today)}
    assert all(record["reason"] and record["delivery"] == 1 for record in found.values())
    assert [alert["kind"] for alert in said] == ["source_quarantined"] * len(found)
    assert alerts(here) == said
    pd.testing.assert_frame_equal(table(here), first)


@pytest.mark.slow
@by_solution
def test_the_next_nights_rows_replace_and_join_those_that_lie_there(
    solution: Path, truth: Any, drawn: dict[str, Any], today: date, tmp_path: Path
) -> None:
    """Night by night or all at once: the table is the same."""
    here, later = workspace(solution, tmp_path / "here"), delivered(truth, drawn, today)
    for night in (today - timedelta(days=2), today - timedelta(days=1), today):
        put(here, [each for each in later if each.night <= night])
        land(solution, here, night)
    at_once = workspace(solution, tmp_path / "at_once")
    put(at_once, later)
    land(solution, at_once, today)
    pd.testing.assert_frame_equal(table(here), table(at_once))


@pytest.mark.slow
@by_solution
def test_a_table_that_was_spoilt_is_whole_again_after_a_night(
    solution: Path, truth: Any, drawn: dict[str, Any], today: date, tmp_path: Path
) -> None:
    here = workspace(solution, tmp_path / "here")
    put(here, delivered(truth, drawn, today))
    land(solution, here, today)
    whole = table(here)
    for path in here.glob("table/**/*.parquet"):
        pd.read_parquet(path, partitioning=None).assign(temp_f=20.0).to_parquet(path, index=False)
    whole.head(5).to_parquet(here / "table" / "old.parquet", index=False)
    land(solution, here, today)
    pd.testing.assert_frame_equal(table(here), whole)


Change = Callable[[pd.DataFrame, pd.DataFrame, dict[str, Any]], None]
"""Changes flights, weather or the manifest (whose counts and digests are true unless they are changed here)."""


def _first(part: int, column: str, value: str) -> Change:
    def change(*delivery: Any) -> None:
        delivery[part].loc[delivery[part].index[0], column] = value

    return change


def _said(part: str, name: str, value: Any) -> Change:
    return lambda flights, weather, manifest: manifest[part].update({name: value})


def _unit(part: str, column: str, value: str) -> Change:
    return lambda flights, weather, manifest: manifest[part]["units"].update({column: value})


def _missing(column: str, share: float) -> Change:
    def change(flights: pd.DataFrame, weather: pd.DataFrame, manifest: dict[str, Any]) -> None:
        weather.loc[weather.index[: round(share * len(weather))], column] = ""

    return change


def _twice(flights: pd.DataFrame, weather: pd.DataFrame, manifest: dict[str, Any]) -> None:
    flights.loc[flights.index[1], ["carrier", "flight"]] = flights.loc[flights.index[0], ["carrier", "flight"]]


def _few(flights: pd.DataFrame, weather: pd.DataFrame, manifest: dict[str, Any]) -> None:
    flights.drop(index=flights.index[49:], inplace=True)


def _no_column(flights: pd.DataFrame, weather: pd.DataFrame, manifest: dict[str, Any]) -> None:
    flights.drop(columns="air_time", inplace=True)


BREAKS: dict[str, Change] = {
    "rows": _said("flights", "rows", 1),
    "sha256": _said("weather", "sha256", "0" * 64),
    "file": _said("weather", "file", "lost.csv"),
    "column": _no_column,
    "no number": _first(0, "dep_delay", "late"),
    "not a number": _first(1, "pressure", "nan"),
    "unit": _unit("weather", "wind", "knots"),
    "celsius said to be fahrenheit is within the range, kelvin is not": _first(1, "temp", "295"),
    "twice": _twice,
    "few": _few,
    "distance": _first(0, "distance", "6100"),
    "delay": _first(0, "arr_delay", "-121"),
    "air time": _first(0, "air_time", "4"),
    "humid": _first(1, "humid", "101"),
    "precip": _first(1, "precip", "400"),
    "missing humid": _missing("humid", 0.4),
    "missing visib": _missing("visib", 0.4),
}
KEEPS: dict[str, Change] = {
    "cold": _first(1, "temp", "-39"),
    "missing pressure": _missing("pressure", 1.0),
    "some missing wind": _missing("wind", 0.2),
}


def _deliver(here: Path, truth: Any, source: str, day: date, change: Change | None, number: int = 1) -> None:
    part = truth.between(day, day)
    flights = part.flights[part.flights["origin"] == source].rename(
        columns={canonical: name for name, canonical in deliveries.FLIGHTS.items()}
    )[list(deliveries.FLIGHTS)]
    weather = part.weather[part.weather["origin"] == source].rename(
        columns={canonical: name for name, canonical in deliveries.NAMES.items()}
    )[["hour", *deliveries.NAMES]]
    texts = [frame.astype("object").where(frame.notna(), "").astype(str) for frame in (flights, weather)]
    manifest: dict[str, Any] = {"source": source, "date": str(day), "delivery": number, "flights": {}, "weather": {}}
    for name, columns in (("flights", ["distance"]), ("weather", list(deliveries.NAMES))):
        manifest[name]["units"] = {column: deliveries.USUAL[column] for column in columns}
    kept = json.loads(json.dumps(manifest))
    if change is not None:
        change(texts[0], texts[1], manifest)
    folder = here / "feeds" / source / str(day)
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in zip(("flights", "weather"), texts, strict=True):
        content = frame.to_csv(index=False).encode()
        (folder / f"{number}.{name}.csv").write_bytes(content)
        true = {"file": f"{number}.{name}.csv", "rows": len(frame), "sha256": hashlib.sha256(content).hexdigest()}
        kept[name] = {**true, **manifest[name]}
    (folder / f"{number}.json").write_text(json.dumps(kept), encoding="utf-8")


@pytest.mark.slow
@by_solution
def test_each_published_rule_refuses_its_delivery_and_no_other(
    solution: Path, truth: Any, today: date, tmp_path: Path
) -> None:
    """A source breaks a rule a day; another keeps them all on the same days, and a mended delivery lands."""
    here, cases = workspace(solution, tmp_path / "here"), {**BREAKS, **KEEPS}
    days = {name: today - timedelta(days=n) for n, name in enumerate(cases, 1)}
    for name, change in cases.items():
        _deliver(here, truth, "JFK", days[name], change)
        _deliver(here, truth, "LGA", days[name], None)
    land(solution, here, today)
    by_day = {str(day): name for name, day in days.items()}
    assert {by_day[day] for source, day in records(here) if source == "JFK"} == set(BREAKS)
    assert {source for source, _ in records(here)} == {"JFK"}
    lies = table(here)
    assert set(lies[lies["origin"] == "JFK"]["date"].map(by_day)) == set(KEEPS)
    assert set(lies[lies["origin"] == "LGA"]["date"]) == set(by_day)
    for name in BREAKS:
        _deliver(here, truth, "JFK", days[name], None, number=2)
    land(solution, here, today + timedelta(days=1))
    assert {record["released"] for record in records(here).values()} == {str(today + timedelta(days=1))}
    lies = table(here)
    assert set(lies[lies["origin"] == "JFK"]["date"]) == set(by_day)


# --- nights, with a registry and a provider ---------------------------------------------------------------------------


class Life:
    """A solution with what it talks to."""

    def __init__(self, here: Path, clock: Path, private: Path, **addresses: str) -> None:
        self.here, self.clock, self.private = here, clock, private
        self.env = environment(BUSINESS_DATE_FILE=str(clock), **addresses)

    def job(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [f"bin/{words[0]}", *words[1:]]
        return subprocess.run(command, cwd=self.here, env=self.env, capture_output=True, text=True, timeout=600)

    def night(self, day: date, *words: str) -> dict[str, Any]:
        """Run a night that must end well; returns its report."""
        done = self.job("nightly", "--date", str(day), *words)
        assert done.returncode == 0, done.stderr[-2000:]
        found: dict[str, Any] = json.loads((self.here / f"state/nightly/{day}.json").read_text(encoding="utf-8"))
        return found

    def aliases(self) -> dict[str, str]:
        url = f"{self.env['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/registered-models/get"
        answer = httpx.get(url, params={"name": "flight-delay"}, timeout=60).raise_for_status().json()
        return {each["alias"]: each["version"] for each in answer["registered_model"]["aliases"]}

    def log(self, day: date) -> list[dict[str, str]]:
        path = self.here / "state" / "predictions" / f"{day}.csv"
        if not path.is_file():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @contextmanager
    def serving(self, port: int) -> Iterator[str]:
        """bin/serve for as long as the block lasts; yields its address."""
        process = subprocess.Popen(
            ["bin/serve"], cwd=self.here, env=self.env | {"PORT": str(port)}, start_new_session=True
        )
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: _ready(url), 300)
            yield url
        finally:
            servers._end(process)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def life(solution: Path, truth: Any, drawn: dict[str, Any], today: date, folder: Path) -> Iterator[Life]:
    here = workspace(solution, folder / "here")
    site = Site(here, folder / "registry", folder / "private")
    site.registry.mkdir()
    deliveries.write_feeds(truth, drawn, today, site)
    clock = folder / "clock"
    clock.write_text(str(today), encoding="utf-8")
    provider = SCENARIO.folder.parent / "_base" / "provider.py"
    with (
        told(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),  # as the registry of a stack
        servers.registry_server(site.registry) as registry,
        servers.provider_server(provider, site.private, clock) as weather,
    ):
        yield Life(here, clock, site.private, MLFLOW_TRACKING_URI=registry, PROVIDER_URL=weather)


def questions(truth: Any, day: date, count: int) -> list[dict[str, Any]]:
    """Flights of the two days after `day`."""
    flown = truth.between(day + timedelta(days=1), day + timedelta(days=2)).flights
    chosen = flown.sample(count, random_state=SEED)[["carrier", "flight", "origin", "dest", "sched_dep"]]
    return [{"row_id": f"q{n}", **row, "flight": int(row["flight"])} for n, row in enumerate(chosen.to_dict("records"))]


def ask(url: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answer = httpx.post(f"{url}/predict", json={"rows": rows}, timeout=60)
    assert answer.status_code == 200, answer.text[:500]
    found: list[dict[str, Any]] = answer.json()
    return found


@pytest.mark.slow
@pytest.mark.timeout(1500)  # two nights, four trainings and a service, on a machine that may be busy
@by_solution
def test_a_solution_lives_through_nights_by_the_brief(
    solution: Path, truth: Any, drawn: dict[str, Any], today: date, tmp_path: Path
) -> None:
    with life(solution, truth, drawn, today, tmp_path) as lived:
        _first_night(lived, today)
        with lived.serving(ports.draw()) as url:
            rows = questions(truth, today, 60)
            _answers(lived, url, rows)
            _next_night(lived, url, rows, truth, today)


def _first_night(lived: Life, today: date) -> None:
    """A first champion; a second run and a training of their own find it again."""
    report = lived.night(today)
    assert (report["decision"], report["champion"], report["quarantined"]) == ("promoted", None, [])
    first = table(lived.here)
    assert (first["date"].min(), first["date"].max()) == (
        str(today - timedelta(days=90)),
        str(today - timedelta(days=1)),
    )
    again = lived.night(today)
    assert (again["decision"], again["challenger"]) == ("held", report["challenger"])
    assert lived.aliases() == {"champion": report["challenger"]}
    pd.testing.assert_frame_equal(table(lived.here), first)
    trained = json.loads(lived.job("train", "--as-of", str(today)).stdout.splitlines()[-1])
    assert trained["version"] == report["challenger"]


def _answers(lived: Life, url: str, rows: list[dict[str, Any]]) -> None:
    """A batch is its rows, and bad rows are named."""
    said = ask(url, rows)
    assert all(
        abs(ask(url, [row])[0]["p_late"] - one["p_late"]) < 1e-6 for row, one in zip(rows[:5], said, strict=False)
    )
    assert all(one["features"]["distance_mi"] is not None for one in said)
    strange = {**rows[0], "carrier": "??", "dest": "???"}
    assert ask(url, [strange])[0]["features"]["distance_mi"] is None
    for name, value in (("origin", "BOS"), ("flight", "12"), ("sched_dep", rows[0]["sched_dep"][:-6]), ("gate", "B2")):
        answer = httpx.post(f"{url}/predict", json={"rows": [{**rows[0], name: value}]}, timeout=60)
        assert 400 <= answer.status_code < 500
        assert name in answer.text
    assert "# TYPE" in httpx.get(f"{url}/metrics", timeout=60).text


def _next_night(lived: Life, url: str, rows: list[dict[str, Any]], truth: Any, today: date) -> None:
    """An airport says that its routes are longer: what was answered on the old distance is answered anew, once."""
    tomorrow, origin = today + timedelta(days=1), rows[0]["origin"]
    before = lived.log(today)
    shutil.copytree(lived.private / "feeds" / str(tomorrow), lived.here / "feeds", dirs_exist_ok=True)

    def longer(flights: pd.DataFrame, *_: Any) -> None:
        flights["distance"] = (flights["distance"].astype(float) * 1.2).round(1).astype(str)

    _deliver(lived.here, truth, origin, today, longer, number=9)
    lived.clock.write_text(str(tomorrow), encoding="utf-8")
    lived.night(tomorrow)
    newest = table(lived.here).sort_values(["date", "sched_dep"]).drop_duplicates(["origin", "dest"], keep="last")
    miles = newest.set_index(["origin", "dest"])["distance_mi"]
    off = {
        line["row_id"]
        for line in before
        if line["distance_mi"] and abs(miles[(line["origin"], line["dest"])] - float(line["distance_mi"])) > 0.1
    }
    corrected = [line for line in lived.log(tomorrow) if line["supersedes"]]
    assert off
    assert sorted(line["supersedes"] for line in corrected) == sorted(off)
    assert lived.log(today) == before
    lived.night(tomorrow)
    assert [line for line in lived.log(tomorrow) if line["supersedes"]] == corrected
    until(lambda: {one["feature_date"] for _ in range(20) for one in ask(url, rows[:3])} == {str(today)}, 60)
    asked = {row["row_id"]: row for row in rows}
    now = ask(url, [asked[line["supersedes"]] for line in corrected])
    assert all(abs(one["p_late"] - float(line["p_late"])) < 1e-9 for one, line in zip(now, corrected, strict=True))
