"""What tests do to trees of any scenario: lint what faults and repairs made of them, load what applies a repair."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

LINT_S = 60.0
"""Deadline of one run over all trees of a scenario; it takes a tenth of a second."""


def assert_clean(folders: Iterable[Path], *options: str) -> None:
    """Ruff has nothing to say of the Python below folders, by its own settings and these options."""
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--quiet", *options]
    done = subprocess.run([*command, *map(str, folders)], capture_output=True, text=True, check=False, timeout=LINT_S)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def loaded(folder: Path) -> ModuleType:
    """apply.py of a solution or a shortcut, as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"apply_{folder.name}", folder / "apply.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
