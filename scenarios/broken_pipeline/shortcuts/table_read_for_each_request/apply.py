"""Take the numbering away, and read the table for each request, so that names are those of now."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

IMPORT = "from delays.features import Known, departure, model_frame, model_row, spelled\n"
IMPORT_LESS = "from delays.features import Known, departure, model_frame, model_row\n"
RISKS = "    risks = model.risks(spelled(model_frame(inputs), known)) if inputs else ()\n"
RISKS_LESS = "    risks = model.risks(model_frame(inputs)) if inputs else ()\n"
KNOWN = "    known = known or features.known(ingest.read(settings)[0], day)\n"
READ = "    known = features.known(ingest.read(settings)[0], day)\n"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/answers.py", IMPORT, IMPORT_LESS)
    site.replace("delays/answers.py", RISKS, RISKS_LESS)
    site.replace("delays/answers.py", KNOWN, READ)
