"""Take the file away and name the version that answers in the code."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

KEPT = '    model = registry.kept(settings.state / "model") or model  # serving must not hang on the registry\n'
ALIAS = "        return _version(client().get_model_version_by_alias(NAME, CHAMPION))\n"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/answers.py", KEPT, "")
    site.replace("delays/nightly.py", '        registry.keep(settings.state / "model", day)\n', "")
    site.replace("delays/registry.py", ALIAS, '        return version("4")  # the last one that support trusts\n')
