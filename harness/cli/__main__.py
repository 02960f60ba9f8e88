"""`python -m harness.cli` is `exam`."""

from harness.cli import main

main()
