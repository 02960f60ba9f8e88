"""Proves a scenario: who must get all points gets them, who must not does not, and every fault form is covered.

Rows of the proof:

- `healthy`: the healthy tree, with a true diagnosis: 100 points, every check passed;
- `untouched`: the broken variant as it was given: at most 5 points;
- `repaired`: the same, repaired by hand (the scenario's repair.py): 100 points;
- each solution: an honest rewrite: 100 points;
- each shortcut: everything healthy but for one fault and a wrong repair of it: fails the checks that its expect.toml
  names and passes what else the row runs;
- `symptoms`: each drawn fault's symptom exceeds the clean 99th percentile (no stack is started).

Beside the rows, `seeds` lays out many variants without a stack, and says what a candidate could read off them.
"""

from harness.proof.ledger import Ledger, prove
from harness.proof.page import markdown, parity, same_verdicts
from harness.proof.rows import (
    Expect,
    Plan,
    Row,
    covering_seeds,
    plan,
    read_expect,
    rotating,
    rotating_one,
    shown_anywhere,
)
from harness.proof.run import Cell, job_of, judge, lay_out_row, run_row, true_diagnosis
from harness.proof.seeds import SeedCell, SeedsSummary, prove_seeds, summary

__all__ = [
    "Cell",
    "Expect",
    "Ledger",
    "Plan",
    "Row",
    "SeedCell",
    "SeedsSummary",
    "covering_seeds",
    "job_of",
    "judge",
    "lay_out_row",
    "markdown",
    "parity",
    "plan",
    "prove",
    "prove_seeds",
    "read_expect",
    "rotating",
    "rotating_one",
    "run_row",
    "same_verdicts",
    "shown_anywhere",
    "summary",
    "true_diagnosis",
]
