"""The registry probe against a real MLflow server, and MLflow's own client against what the probe registered."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from harness.errors import BadAnswer
from harness.model import Stack
from harness.probes.registry import Registry
from harness.runtime import ports

pytestmark = pytest.mark.slow

SAVE = """
import sys, mlflow, numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression
frame = pd.DataFrame({"hour": np.arange(20.0), "humid_pct": np.arange(20.0)[::-1]})
model = LogisticRegression().fit(frame, np.arange(20) % 2)
signature = mlflow.models.infer_signature(frame, model.predict_proba(frame))
mlflow.sklearn.save_model(model, sys.argv[1], signature=signature, pip_requirements=["scikit-learn"],
                          pyfunc_predict_fn="predict_proba")
print(model.predict_proba(frame.head(1))[0, 1])
"""
LOAD = """
import sys, mlflow, pandas as pd
model = mlflow.pyfunc.load_model("models:/flight-delay@champion")
print(pd.DataFrame(model.predict(pd.DataFrame({"hour": [0.0], "humid_pct": [19.0]}))).iloc[0, 1])
"""
MODEL = {"name": "flight-delay"}
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


class OneService:
    """A stack that has a registry only."""

    name = "candidate"

    def __init__(self, url: str) -> None:
        self.url = url

    def endpoint(self, service: str) -> str:
        return self.url


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("registry")
    port = ports.draw()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", f"{folder}/artifacts", "--serve-artifacts", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=os.environ | QUIET, stdout=log, stderr=log, cwd=folder)
    try:
        url = f"http://127.0.0.1:{port}"
        _ready(url, folder / "log")
        httpx.post(f"{url}/api/2.0/mlflow/registered-models/create", json=MODEL, timeout=60.0).raise_for_status()
        yield cast(Stack, OneService(url))
    finally:
        server.terminate()
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(60)


def _ready(url: str, log: Path) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    raise TimeoutError(log.read_text()[-1000:])


def python(code: str, *args: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *args], env=os.environ | QUIET | env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-1500:]
    return done.stdout.split()[-1]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    folder = tmp_path_factory.mktemp("saved") / "model"
    return folder, float(python(SAVE, str(folder)))


def test_an_empty_registry(stack: Stack) -> None:
    registry = Registry(stack, "flight-delay")
    assert registry.champion() is None
    assert registry.version("77") is None
    assert registry.version("seven") is None
    assert registry.run("0" * 32) is None
    assert registry.run("../etc/passwd") is None
    assert Registry(stack, "no-such-model").versions() == ()


def test_a_model_is_registered_without_mlflow_in_the_process() -> None:
    loaded = "import sys, harness.probes.registry; print('mlflow' in sys.modules)"
    assert python(loaded) == "False"


def test_what_is_registered_loads_by_alias(stack: Stack, saved: tuple[Path, float]) -> None:
    folder, risk = saved
    registry = Registry(stack)
    made = registry.register(folder, {"data_digest": "abc", "metric": "log_loss"})
    assert registry.champion() is None, "registering moves no alias"
    registry.set_alias("champion", made.version)
    assert float(python(LOAD, MLFLOW_TRACKING_URI=stack.endpoint("registry"))) == pytest.approx(risk, abs=1e-12)

    champion = registry.champion()
    assert champion is not None
    assert (champion.version, champion.tags["data_digest"], champion.run_id) == (made.version, "abc", made.run_id)
    run = registry.run(made.run_id)
    assert run is not None
    assert (run.lifecycle, run.tags["metric"]) == ("active", "log_loss")
    assert registry.versions()[-1].aliases == ("champion",)


def test_versions_come_oldest_first_over_pages(
    stack: Stack, saved: tuple[Path, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(stack)
    made = [registry.register(saved[0], {}).version for _ in range(3)]
    monkeypatch.setattr("harness.probes.registry.PAGE", 2)
    listed = [each.version for each in registry.versions()]
    assert listed[-3:] == made
    assert listed == sorted(listed, key=int)


def test_a_missing_version_is_refused_and_the_stack_is_named(stack: Stack) -> None:
    with pytest.raises(BadAnswer, match="registered-models/alias") as caught:
        Registry(stack).set_alias("champion", "999")
    assert caught.value.stack == "candidate"


def test_a_folder_without_a_model_is_ours(stack: Stack, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Registry(stack).register(tmp_path, {})


def test_a_dead_registry_is_blamed() -> None:
    gone: Any = OneService("http://127.0.0.1:9")
    with pytest.raises(BadAnswer, match="no answer"):
        Registry(gone).champion()
