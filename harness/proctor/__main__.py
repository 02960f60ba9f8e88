"""`python -m harness.proctor`: leads one attempt until it is stopped. See docs/containers.md."""

from harness.proctor.serve import main

main()
