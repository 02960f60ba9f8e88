"""The commands keep the brief's contracts against a real registry, a provider and a running service."""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from broken_workspace_parts import (
    PROVIDER,
    SCENARIO,
    WORKSPACE,
)

from harness import waiting
from harness.model import Site
from harness.runtime import ports

READY_S = 60.0
FOLLOWED_S = 30.0


@dataclass(frozen=True)
class Live:
    """A workspace with a drawn world's feeds, and the environment of its commands."""

    root: Path
    today: date
    environment: dict[str, str]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the workspace."""
        return subprocess.run(words, cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=180)

    def night(self, *more: str, day: date | None = None) -> tuple[int, dict[str, Any]]:
        """Exit code and report of a night."""
        day = day or self.today
        ended = self.run("bin/nightly", "--date", str(day), *more)
        path = self.root / "state" / "nightly" / f"{day}.json"
        assert ended.returncode in (0, 2, 3), ended.stdout + ended.stderr
        return ended.returncode, json.loads(path.read_text()) if path.is_file() else {}

    def registry(self) -> Any:
        """A client of the registry."""
        import mlflow  # here, as it takes two seconds: every worker imports this file

        return mlflow.MlflowClient(self.environment["MLFLOW_TRACKING_URI"])

    def twin(self) -> str:
        """The number of a new version with the model of version 1."""
        same = self.registry().get_model_version("flight-delay", "1")
        model = same.source.removeprefix("models:/")
        made = self.registry().create_model_version("flight-delay", same.source, same.run_id, model_id=model)
        return str(made.version)

    def aliases(self) -> dict[str, str]:
        """Versions by alias."""
        return dict(self.registry().get_registered_model("flight-delay").aliases)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, story: SimpleNamespace) -> Iterator[Live]:
    """The workspace after the night of the business date, which promoted the first version."""
    place, servers = tmp_path_factory.mktemp("live"), importlib.import_module("scenario_base.servers")
    site = Site(place / "workspace", place / "registry", place / "private")
    shutil.copytree(WORKSPACE, site.workspace, ignore=shutil.ignore_patterns("__pycache__", "var", "state"))
    SCENARIO.module("deliveries").write_feeds(story.world, story.values, story.today, site)
    site.registry.mkdir()
    clock = place / "clock"
    clock.write_text(f"{story.today}\n")
    with ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
        uri = stack.enter_context(servers.registry_server(site.registry))
        provider = stack.enter_context(servers.provider_server(PROVIDER, site.private, clock))
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "MLFLOW_TRACKING_URI": uri,
            "PROVIDER_URL": provider,
            "BUSINESS_DATE_FILE": str(clock),
            "DO_NOT_TRACK": "1",
            "BENTOML_DO_NOT_TRACK": "True",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        here = Live(site.workspace, story.today, environment)
        code, report = here.night()
        assert (code, report["decision"]) == (0, "promoted"), report
        yield here


@pytest.mark.slow
def test_after_a_night_the_table_is_what_really_happened_but_for_quarantined_days(
    live: Live, table: pd.DataFrame, story: Any, delays: Any
) -> None:
    found = pd.read_parquet(live.root / "table").sort_values(delays.ingest.KEY, ignore_index=True)
    bad = story.values["bad"]
    refused = (table["origin"] == bad["source"]) & (table["date"] == bad["unmended"])
    right = table[~refused & (table["date"] < str(live.today - timedelta(days=3)))].reset_index(drop=True)
    found = found[found["date"] < str(live.today - timedelta(days=3))].reset_index(drop=True)
    assert len(found) == len(right)
    pd.testing.assert_frame_equal(found[delays.ingest.KEY], right[delays.ingest.KEY])
    assert (found[delays.ingest.WEATHER].isna() == right[delays.ingest.WEATHER].isna()).all(axis=None)
    for column, off in {"distance_mi": 0.01, "temp_f": 0.01, "wind_mph": 0.012, "visib_mi": 0.01}.items():
        assert (found[column] - right[column]).abs().max() <= off  # two digits of the delivered unit
    outcomes = ["dep_delay_min", "air_time_min", "arr_delay_min"]
    pd.testing.assert_frame_equal(found[outcomes], right[outcomes])


@pytest.mark.slow
def test_the_same_night_again_changes_no_row_no_alias_and_no_report(live: Live) -> None:
    before = ((live.root / "table" / "flights.parquet").read_bytes(), live.aliases(), live.night())
    after = ((live.root / "table" / "flights.parquet").read_bytes(), live.aliases(), live.night())
    assert after == before


@pytest.mark.slow
def test_a_version_says_what_made_it_and_its_metric_is_that_of_its_holdout(live: Live, delays: Any) -> None:
    import mlflow  # as above
    from sklearn.metrics import log_loss

    version = live.registry().get_model_version("flight-delay", "1")
    assert set(version.tags) >= {
        "data_digest", "code_digest", "train_from", "train_to", "holdout_from", "holdout_to", "metric", "metric_value",
    }  # fmt: skip
    run = live.registry().get_run(version.run_id)
    mlflow.set_tracking_uri(live.environment["MLFLOW_TRACKING_URI"])
    path = mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path="holdout.csv")
    holdout = pd.read_csv(path)
    assert holdout.columns[:4].tolist() == delays.ingest.KEY
    assert {*delays.features.INPUTS, "late", "p_late"} <= set(holdout.columns)
    assert holdout["date"].min() == version.tags["holdout_from"] == str(live.today - timedelta(days=7))
    loss = log_loss(holdout["late"], holdout["p_late"])
    assert loss == pytest.approx(float(version.tags["metric_value"]), abs=1e-9)
    assert loss == pytest.approx(run.data.metrics["log_loss"], abs=1e-9)
    assert run.data.metrics["baseline_log_loss"] > loss
    model = mlflow.pyfunc.load_model("models:/flight-delay/1")
    assert model.metadata.signature is not None
    again = np.asarray(model.predict(holdout[delays.features.INPUTS]))
    assert again.shape == (len(holdout), 2)
    assert np.abs(again[:, 1] - holdout["p_late"]).max() <= 1e-9


@pytest.mark.slow
def test_training_again_says_which_version_it_was_and_moves_no_alias(live: Live) -> None:
    before = live.aliases()
    said = [json.loads(live.run("bin/train", "--as-of", str(live.today)).stdout.splitlines()[-1]) for _ in range(2)]
    assert said[0] == said[1]
    assert said[0]["run_id"] == live.registry().get_model_version("flight-delay", said[0]["version"]).run_id
    assert live.aliases() == before


@pytest.mark.slow
def test_a_night_beside_another_ends_with_3(live: Live) -> None:
    (live.root / "var").mkdir(exist_ok=True)
    with (live.root / "var" / "nightly.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert live.run("bin/nightly", "--date", str(live.today)).returncode == 3


@pytest.mark.slow
def test_a_night_for_which_nothing_came_ends_with_2(live: Live) -> None:
    before = live.aliases()
    code, report = live.night(day=live.today + timedelta(days=1))
    assert (code, report["decision"]) == (2, "refused")
    assert live.aliases() == before


@pytest.mark.slow
def test_a_challenger_that_is_the_champion_s_equal_is_held(live: Live) -> None:
    twin = live.twin()
    code, report = live.night("--challenger", twin)
    assert (code, report["decision"], report["challenger"]) == (0, "held", twin)
    assert live.aliases()["champion"] == "1"


@pytest.fixture(scope="module")
def address(live: Live) -> Iterator[str]:
    """The address of the running service."""
    port = ports.draw()
    environment = {**live.environment, "PORT": str(port)}
    url, log = f"http://127.0.0.1:{port}", live.root / "var" / "serve.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            ["bin/serve"], cwd=live.root, env=environment, stdout=said, stderr=said, start_new_session=True
        )
        try:
            until(lambda: httpx.get(f"{url}/readyz", timeout=2).status_code == 200, READY_S, log.read_text)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def until(looks_right: Callable[[], bool], seconds: float, diagnosis: Callable[[], str]) -> None:
    """Wait until something is so, also while the service does not answer; fails with the diagnosis after that long."""

    def now() -> bool:
        with suppress(httpx.HTTPError):
            return looks_right()
        return False

    try:
        waiting.until(now, seconds)
    except waiting.DeadlinePassed:
        pytest.fail(f"not within {seconds:.0f} s: {diagnosis()[-3000:]}")


def questions(live: Live, story: Any, count: int = 40) -> list[dict[str, Any]]:
    """Rows about flights of the business date."""
    flown = story.world.between(live.today, live.today).flights.head(count)
    columns = ["carrier", "flight", "origin", "dest", "sched_dep"]
    rows = flown[columns].astype({"flight": object}).to_dict("records")
    return [{"row_id": f"q{n}", **row, "flight": int(row["flight"])} for n, row in enumerate(rows)]


def ask(address: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers to rows."""
    answer = httpx.post(f"{address}/predict", json={"rows": rows}, timeout=10)
    assert answer.status_code == 200, answer.text
    return list(answer.json())


@pytest.mark.slow
def test_answers_are_those_of_the_champion_on_the_table_and_the_forecast(
    live: Live, address: str, story: Any, delays: Any
) -> None:
    rows = questions(live, story)
    answers = ask(address, rows)
    assert [answer["row_id"] for answer in answers] == [row["row_id"] for row in rows]
    version = live.registry().get_model_version("flight-delay", live.aliases()["champion"])
    assert {(a["model"]["version"], a["model"]["run_id"]) for a in answers} == {(version.version, version.run_id)}
    assert {answer["feature_date"] for answer in answers} == {str(live.today - timedelta(days=1))}
    sky = story.world.between(live.today, live.today).weather.set_index(["origin", "hour"])
    for row, answer in zip(rows, answers, strict=True):
        right = sky.loc[(row["origin"], int(row["sched_dep"][11:13]))]
        assert list(answer["features"]) == delays.features.INPUTS
        for name in delays.ingest.WEATHER:
            said = answer["features"][name]
            assert (said is None) == pd.isna(right[name])
            assert said is None or said == pytest.approx(right[name], abs=0.02)
    alone = [ask(address, [row])[0] for row in rows[:5]]
    assert [a["p_late"] for a in alone] == pytest.approx([a["p_late"] for a in answers[:5]], abs=1e-6)


BAD_ROWS: dict[str, dict[str, Any]] = {
    "carrier": {"carrier": 12},
    "flight": {"flight": "12"},
    "origin": {"origin": "BOS"},
    "sched_dep": {"sched_dep": "2024-07-09T17:00:00"},
    "dest": {"dest": None},
    "altitude": {"altitude": 3},
    "row_id": {"row_id": ""},
}


@pytest.mark.slow
@pytest.mark.parametrize("field", BAD_ROWS)
def test_a_bad_row_gets_a_4xx_that_names_the_field(field: str, live: Live, address: str, story: Any) -> None:
    good = questions(live, story, 1)[0]
    answer = httpx.post(f"{address}/predict", json={"rows": [good, {**good, **BAD_ROWS[field]}]}, timeout=10)
    assert 400 <= answer.status_code < 500
    assert field in answer.text


@pytest.mark.slow
def test_a_flight_of_another_month_is_out_of_range(live: Live, address: str, story: Any) -> None:
    row = questions(live, story, 1)[0]
    row["sched_dep"] = f"{live.today + timedelta(days=40)}{row['sched_dep'][10:]}"
    answer = httpx.post(f"{address}/predict", json={"rows": [row]}, timeout=10)
    assert answer.status_code == 422
    assert "sched_dep" in answer.text


@pytest.mark.slow
def test_an_unknown_carrier_route_and_hour_get_an_answer(live: Live, address: str, story: Any) -> None:
    row = {**questions(live, story, 1)[0], "carrier": "7Q", "dest": "QQQ"}
    row["sched_dep"] = f"{live.today + timedelta(days=8)}T23:05:00-04:00"
    said = ask(address, [row])[0]
    assert said["features"]["carrier_late_rate"] is None
    assert said["features"]["distance_mi"] is None
    assert 0 < said["p_late"] < 1


@pytest.mark.slow
def test_every_worker_follows_the_alias_and_no_request_fails(live: Live, address: str, story: Any) -> None:
    rows = questions(live, story, 3)
    twin = live.twin()
    for number in (twin, "1"):
        live.registry().set_registered_model_alias("flight-delay", "champion", number)

        def followed(number: str = number) -> bool:
            return {ask(address, rows)[0]["model"]["version"] for _ in range(30)} == {number}

        until(followed, FOLLOWED_S, lambda: "some answers came from the version before")


@pytest.mark.slow
def test_a_wrong_distance_is_corrected_by_the_night_and_by_no_later_one(
    live: Live, address: str, story: Any, delays: Any
) -> None:
    rows = questions(live, story, 2)
    answers = ask(address, rows)
    wrong = {**answers[0], "features": {**answers[0]["features"], "distance_mi": 9.0}}
    asked = [{**row, "row_id": name} for row, name in zip(rows, ("wrong", "right"), strict=True)]
    settings = delays.config.load(live.root)
    delays.answers.append(settings, asked, [wrong, answers[1]], live.today - timedelta(days=1))
    before = (live.root / "state" / "predictions" / f"{live.today - timedelta(days=1)}.csv").read_bytes()
    for _ in range(2):
        assert live.night()[0] == 0
        log = pd.read_csv(live.root / "state" / "predictions" / f"{live.today}.csv", dtype=str).dropna(
            subset="supersedes"
        )
        assert log["supersedes"].tolist() == ["wrong"]
        assert float(log["p_late"].iloc[0]) == pytest.approx(answers[0]["p_late"], abs=1e-9)
        assert float(log["distance_mi"].iloc[0]) == answers[0]["features"]["distance_mi"]
    assert (live.root / "state" / "predictions" / f"{live.today - timedelta(days=1)}.csv").read_bytes() == before


@pytest.mark.slow
def test_serving_follows_the_table(live: Live, address: str, story: Any, delays: Any) -> None:
    settings, row = delays.config.load(live.root), questions(live, story, 1)[0]
    table, ledger = delays.ingest.read(settings)
    route = (table["origin"] == row["origin"]) & (table["dest"] == row["dest"])
    right = ask(address, [row])[0]["features"]["distance_mi"]
    try:
        delays.ingest.write(settings, table.assign(distance_mi=table["distance_mi"].mask(route, 123.0)), ledger)

        def followed() -> bool:
            return {ask(address, [row])[0]["features"]["distance_mi"] for _ in range(20)} == {123.0}

        until(followed, FOLLOWED_S, lambda: "some answers have the distance of the table before")
    finally:
        delays.ingest.write(settings, table, ledger)
    until(lambda: ask(address, [row])[0]["features"]["distance_mi"] == right, FOLLOWED_S, lambda: "still 123 miles")


@pytest.mark.slow
def test_the_monitor_names_what_is_wrong_with_a_window_and_is_silent_on_a_clean_one(
    live: Live, table: pd.DataFrame, delays: Any
) -> None:
    first, last = live.today - timedelta(days=67), live.today - timedelta(days=8)
    rows = delays.features.training_frame(table, first, last)
    (live.root / "monitoring").mkdir(exist_ok=True)
    snapshot = rows.sample(5000, random_state=1)
    snapshot[[*delays.features.INPUTS, "late"]].to_csv(live.root / "monitoring" / "snapshot.csv", index=False)
    risk = delays.training.fit(rows).predict_proba
    clean = rows.sample(500, random_state=2)[delays.features.INPUTS].reset_index(drop=True)
    p_late = risk(clean)[:, 1]
    late = (np.random.default_rng(3).random(500) < p_late).astype(int)
    about = {"model_version": "1", "model_train_to": str(last), "business_date": str(live.today)}
    clean = clean.assign(p_late=p_late, late=late, **about)
    windows = {
        "clean": clean,
        "drift temp_f": clean.assign(temp_f=(clean["temp_f"] - 32) / 1.8),
        "nulls wind_mph": clean.assign(wind_mph=clean["wind_mph"].mask(clean.index < 200)),
        "nulls humid_pct": clean.drop(columns="humid_pct"),
        "model_stale 1": clean.assign(model_train_to=str(live.today - timedelta(days=60))),
        "quality p_late": clean.assign(p_late=1 - p_late),
    }
    words = []
    for name, window in windows.items():
        path = live.root / "var" / f"{name.replace(' ', '-')}.csv"
        window.to_csv(path, index=False)
        words += ["--window", str(path), "--id", name]
    path = live.root / "state" / "alerts.jsonl"
    before = len(path.read_text().splitlines())
    ended = live.run("bin/monitor", *words)
    assert ended.returncode == 0, ended.stderr
    said = [json.loads(line) for line in path.read_text().splitlines()[before:]]
    assert [f"{alert['kind']} {alert['subject']}" for alert in said] == [name for name in windows if name != "clean"]
    assert [alert["window_id"] for alert in said] == [name for name in windows if name != "clean"]


WATCHED = "import sys; from datetime import date; from delays import config, monitor; "
WATCHED += "monitor.daily(config.load(), date.fromisoformat(sys.argv[1]))"


def watched(live: Live, day: date) -> list[str]:
    """Kind and subject of what the watch says on a day, looking twice."""
    path = live.root / "state" / "alerts.jsonl"
    before = len(path.read_text().splitlines())
    for _ in range(2):
        ended = live.run("python", "-c", WATCHED, str(day))
        assert ended.returncode == 0, ended.stderr
    said = [json.loads(line) for line in path.read_text().splitlines()[before:]]
    return [f"{alert['kind']} {alert['subject']}" for alert in said]


@pytest.mark.slow
def test_the_watch_says_once_what_is_wrong_with_the_service(
    live: Live, table: pd.DataFrame, story: Any, delays: Any
) -> None:
    assert watched(live, live.today) == []
    assert watched(live, live.today + timedelta(days=38)) == ["model_stale 1"]
    settings, day = delays.config.load(live.root), live.today - timedelta(days=2)
    flown = table[table["date"] == str(day)].dropna(subset=["arr_delay_min"]).head(300)
    rows = [{"row_id": f"w{n}", **row} for n, row in enumerate(flown.to_dict("records"))]
    model = {"version": "1"}
    said = [{"features": {"distance_mi": row["distance_mi"]}, "p_late": 0.9, "model": model} for row in rows]
    delays.answers.append(settings, rows, said, day)
    assert watched(live, live.today) == ["quality p_late"]
