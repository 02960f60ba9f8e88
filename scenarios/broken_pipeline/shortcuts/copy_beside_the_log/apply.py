"""Write over the log as before and keep a copy of it elsewhere."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

LOOP = """    for path in sorted((settings.state / "predictions").glob("*.csv")):
"""
COPIES = """\
    before = settings.state / "predictions_before"
    before.mkdir(exist_ok=True)
    for path in sorted((settings.state / "predictions").glob("*.csv")):
        (before / path.name).write_bytes(path.read_bytes())
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/answers.py", LOOP, COPIES)
