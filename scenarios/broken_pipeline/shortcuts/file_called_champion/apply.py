"""Say that the champion answers, whatever the file is."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

KEPT = '    model = registry.kept(settings.state / "model") or model  # serving must not hang on the registry\n'
CALLED = """\
    kept = registry.kept(settings.state / "model")
    model = registry.Model(model.version, kept.pyfunc) if kept else model
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/answers.py", KEPT, CALLED)
