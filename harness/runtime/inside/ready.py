"""The health check of a container: exit code 0 when an address answers 200.

The address stands on the command line, else in READY; where none stands there, nothing is waited for. In the box the
engine starts it as root: it looks as the candidate, who wrote the address and who answers.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness.runtime.inside import places
from harness.runtime.inside.after import answers
from harness.runtime.inside.users import CANDIDATE, become


def main() -> int:
    """See above; 1 until the supervisor has begun."""
    become(CANDIDATE)
    try:
        url = sys.argv[1] if len(sys.argv) > 1 else Path(places.READY).read_text(encoding="utf-8")
    except OSError:
        return 1
    return 0 if not url or answers(url) else 1


if __name__ == "__main__":
    sys.exit(main())
