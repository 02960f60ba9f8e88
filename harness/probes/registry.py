"""The registry (MLflow) over its REST interface, with httpx alone: no MLflow import, no model is loaded.

Every method raises BadAnswer naming the stack when the registry does not answer as MLflow 3 does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.errors import BadAnswer
from harness.model import Record, Stack
from harness.probes.http import exchange

MODEL = "flight-delay"
PAGE = 200
MAX_PAGES = 50
"""With 200 a page: no registry of an attempt comes near 10,000 versions."""

_API = "/api/2.0/mlflow"
_ARTIFACTS = "mlflow-artifacts:/"
_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
"""What MLflow says to a question for what is not there: the second for an alias or a number that cannot be."""


class Version(Record):
    """A model version. `version` is text, as in answers; `created` is milliseconds since 1970, as MLflow says."""

    version: str
    run_id: str
    source: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    created: int


class Run(Record):
    """A run. `lifecycle` is "active" or "deleted"."""

    run_id: str
    experiment_id: str
    artifact_uri: str
    lifecycle: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]


class Registry:
    """One registered model in a stack's registry."""

    def __init__(self, stack: Stack, model: str = MODEL, *, timeout: float = 10.0) -> None:
        self._stack = stack
        self._model = model
        self._timeout = timeout

    def champion(self) -> Version | None:
        """The version behind the alias `champion`, or None."""
        return self.alias("champion")

    def alias(self, name: str) -> Version | None:
        """The version behind an alias, or None when it is not set."""
        return self._maybe_version("registered-models/alias", alias=name)

    def set_alias(self, name: str, version: str) -> None:
        """Put an alias on a version."""
        self._call("POST", "registered-models/alias", body={"name": self._model, "alias": name, "version": version})

    def version(self, version: str) -> Version | None:
        """A version by its number, or None when there is none."""
        return self._maybe_version("model-versions/get", version=version)

    def versions(self) -> tuple[Version, ...]:
        """All versions of the model, oldest first, with their aliases."""
        aliases = self._aliases()
        found = [_version(raw, aliases) for raw in self._pages()]
        return tuple(sorted(found, key=lambda each: int(each.version)))

    def run(self, run_id: str) -> Run | None:
        """A run with its tags, params and last metrics, or None when there is none. A deleted run is found too."""
        got = self._call("GET", "runs/get", absent_ok=True, params={"run_id": run_id})
        return _run(got["run"]) if got else None

    def register(self, folder: Path, tags: Mapping[str, str], run_name: str = "nightly") -> Version:
        """Register a saved model (a folder with an MLmodel file) as a new version with these tags; no alias moves.

        Makes a run in the experiment of the model's newest version, uploads the folder's files through the artifact
        proxy and creates the version with that run, so that `mlflow.pyfunc.load_model("models:/name@alias")` loads it.
        The run gets the same tags. Raises FileNotFoundError when the folder holds no MLmodel.
        """
        if not (folder / "MLmodel").is_file():
            raise FileNotFoundError(f"{folder} is no saved model: it holds no MLmodel")
        run = self._new_run(tags, run_name)
        source = f"{run.artifact_uri}/model"
        self._upload(folder, source)
        body = {"name": self._model, "source": source, "run_id": run.run_id, "tags": _pairs(tags)}
        created = self._call("POST", "model-versions/create", body=body)["model_version"]
        return _version(created, {})

    def _new_run(self, tags: Mapping[str, str], name: str) -> Run:
        body = {"experiment_id": self._experiment(), "tags": _pairs({"mlflow.runName": name, **tags})}
        run = _run(self._call("POST", "runs/create", body=body)["run"])
        if not run.artifact_uri.startswith(_ARTIFACTS):
            raise BadAnswer(
                self._stack.name, f"The registry keeps artifacts at {run.artifact_uri[:80]}, not behind its proxy."
            )
        self._call("POST", "runs/update", body={"run_id": run.run_id, "status": "FINISHED"})
        return run

    def _experiment(self) -> str:
        for version in reversed(self.versions()):
            run = self.run(version.run_id) if version.run_id else None
            if run and run.lifecycle == "active":
                return run.experiment_id
        return "0"

    def _upload(self, folder: Path, target: str) -> None:
        base = f"{self._url()}/api/2.0/mlflow-artifacts/artifacts/{target.removeprefix(_ARTIFACTS).lstrip('/')}"
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            url = f"{base}/{quote(path.relative_to(folder).as_posix())}"
            status, text = exchange(
                self._stack, "PUT", url, content=path.read_bytes(), timeout=max(self._timeout, 30.0)
            )
            if status != 200:
                raise BadAnswer(self._stack.name, f"The registry refused an artifact with {status}: {text[:120]!r}")

    def _maybe_version(self, path: str, **params: str) -> Version | None:
        got = self._call("GET", path, absent_ok=True, params={"name": self._model, **params})
        return _version(got["model_version"], {}) if got else None

    def _aliases(self) -> dict[str, list[str]]:
        got = self._call("GET", "registered-models/get", absent_ok=True, params={"name": self._model})
        pairs = got.get("registered_model", {}).get("aliases", []) if got else []
        found: dict[str, list[str]] = {}
        for pair in pairs:
            found.setdefault(str(pair["version"]), []).append(pair["alias"])
        return found

    def _pages(self) -> Iterator[dict[str, Any]]:
        params = {"filter": f"name='{self._model}'", "max_results": str(PAGE)}
        for _ in range(MAX_PAGES):
            got = self._call("GET", "model-versions/search", params=params)
            yield from got.get("model_versions", [])
            if not got.get("next_page_token"):
                return
            params["page_token"] = got["next_page_token"]
        raise BadAnswer(self._stack.name, f"The registry lists more than {MAX_PAGES * PAGE} versions.")

    def _url(self) -> str:
        return self._stack.endpoint("registry")

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        absent_ok: bool = False,
        params: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """One call; the JSON object of its answer, or {} when it is not there and that is allowed."""
        content = None if body is None else json.dumps(body).encode()
        status, raw = exchange(
            self._stack, method, f"{self._url()}{_API}/{path}", content=content, params=params, timeout=self._timeout
        )
        got = self._object(path, status, raw)
        if status == 200:
            return got
        if absent_ok and got.get("error_code") in _ABSENT:
            return {}
        raise BadAnswer(self._stack.name, f"The registry answered {status} to {path}: {str(got.get('message'))[:160]}")

    def _object(self, path: str, status: int, raw: bytes) -> dict[str, Any]:
        try:
            got = json.loads(raw)
        except (ValueError, RecursionError):
            got = None
        if not isinstance(got, dict):
            raise BadAnswer(self._stack.name, f"The registry answered {status} to {path} with no JSON object.")
        return got


def _version(raw: Mapping[str, Any], aliases: Mapping[str, list[str]]) -> Version:
    version = str(raw["version"])
    return Version(
        version=version,
        run_id=raw.get("run_id", ""),
        source=raw.get("source", ""),
        tags=_mapping(raw.get("tags", [])),
        aliases=tuple(sorted(set(raw.get("aliases", [])) | set(aliases.get(version, [])))),
        created=int(raw.get("creation_timestamp", 0)),
    )


def _run(raw: Mapping[str, Any]) -> Run:
    info, data = raw["info"], raw.get("data", {})
    return Run(
        run_id=info["run_id"],
        experiment_id=str(info["experiment_id"]),
        artifact_uri=info.get("artifact_uri", ""),
        lifecycle=info["lifecycle_stage"],
        tags=_mapping(data.get("tags", [])),
        params=_mapping(data.get("params", [])),
        metrics={each["key"]: float(each["value"]) for each in data.get("metrics", [])},
    )


def _mapping(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {pair["key"]: pair.get("value", "") for pair in pairs}


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]
