"""Lay the champion down when serving starts, with its number and run."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

LABEL = '(folder / "label").write_text(str(day), encoding="utf-8")'
NUMBER = '(folder / "label").write_text(f"{entry.number} {entry.run_id}", encoding="utf-8")'
DATED = """\
    label = (folder / "label").read_text(encoding="utf-8")
    return Model(Version(label, "", {}), mlflow.pyfunc.load_model(str(folder)))
"""
NUMBERED = """\
    number, _, run_id = (folder / "label").read_text(encoding="utf-8").partition(" ")
    return Model(Version(number, run_id, {}), mlflow.pyfunc.load_model(str(folder)))
"""
START = "exec bentoml serve"
LAYS = """\
python -c 'from delays import config, registry; registry.keep(config.load().state / "model", None)'
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/registry.py", LABEL, NUMBER)
    site.replace("delays/registry.py", DATED, NUMBERED)
    site.replace("bin/serve", START, LAYS + START)
