"""Take affected answers out of the log."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = '''

def amend(settings: Settings, said: Mapping[str, Answer]) -> None:
    """What was wrong is not shown to anybody."""
    for path in sorted((settings.state / "predictions").glob("*.csv")):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if line.split(",")[0] not in said), encoding="utf-8")
'''


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    path = site.workspace / "delays/answers.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
