"""What a scenario's author starts from: a skeleton that is sound, and the schema of scenario.toml."""

from harness.authoring.schema import PUBLISHED, schema_text
from harness.authoring.skeleton import new

__all__ = ["PUBLISHED", "new", "schema_text"]
