"""Write the version's number and run beside the file, and go on answering from it."""

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


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/registry.py", LABEL, NUMBER)
    site.replace("delays/registry.py", DATED, NUMBERED)
    for path in (site.workspace / "state" / "model").rglob("label"):
        path.unlink()  # until the next night the registry's model answers
