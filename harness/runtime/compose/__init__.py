"""Stacks in containers (Docker with Compose): the runtime for exams, whose results may count."""

from harness.runtime.compose.engine import engine_problem
from harness.runtime.compose.runtime import ComposeRuntime, left_over
from harness.runtime.compose.stack import ComposeStack

__all__ = ["ComposeRuntime", "ComposeStack", "engine_problem", "left_over"]
