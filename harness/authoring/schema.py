"""The JSON Schema of scenario.toml, for editors: made from the records that read it.

It is of draft 7, with its parts under `definitions`: what the TOML servers of editors understand for certain.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from harness.scenario import ScenarioSpec

PUBLISHED = Path(__file__).parents[2] / "docs" / "scenario.schema.json"
"""Where the schema is committed; a test fails while it is not what the records say."""


class _Untitled(GenerateJsonSchema):
    """Without a title for each field: it would only repeat the field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema_text() -> str:
    """The JSON Schema of scenario.toml as it is committed: indented by two, with a line end."""
    made = ScenarioSpec.model_json_schema(ref_template="#/definitions/{model}", schema_generator=_Untitled)
    parts = made.pop("$defs")
    head = {"$schema": "http://json-schema.org/draft-07/schema#"}
    return json.dumps({**head, **made, "title": "scenario.toml", "definitions": parts}, indent=2) + "\n"


def schema_line(folder: Path, schema: Path) -> str:
    """The first line of a folder's scenario.toml, which names the schema by its relative path."""
    return f"#:schema {Path(os.path.relpath(schema, folder)).as_posix()}"
