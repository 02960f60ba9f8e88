"""`exam` in the box: run this file as it lies, with `python -I`. Only the standard library is needed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from harness.client.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
