"""bin/train: a version from the table as it stands."""

import argparse
import json
import sys
from datetime import date

from late import models


def main() -> int:
    """Prints the version as the last line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--as-of", type=date.fromisoformat, required=True)
    entry = models.trained(models.data(parser.parse_args().as_of))
    print(json.dumps({"version": entry.version, "run_id": entry.run_id}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
