"""Trainings: two as of D on the fresh stack, and once more after labels changed and a night has trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from scenario_base.drills import code, quality
from scenario_base.drills.quality import Hidden
from scenario_base.drills.rows import Row

from harness.errors import StackError
from harness.model import Stack

from ..drills import hidden, training
from ..drills.landed import Judged
from ..drills.run import Run, seen
from ..drills.training import Made
from .served import ROLES

NOT_CODE = ("feeds", "table", "quarantine", "state", "var")
"""Folders that hold no code of the workspace's (BRIEF.md)."""

DECLARED = ("holdout_is_declared", "known_when_asked", "metric_is_recomputed", "baseline_logged")
HIDDEN = ("trained_quality", "reported_metric_holds", "served_features_drift")
ONCE = (*DECLARED, "trainings_agree", *HIDDEN)
AGAIN = (
    "labels_move_no_features",
    "training_apart",
    "second_training_agrees",
    "same_data_same_digest",
    "new_version_has_lineage",
)
FOUND = ("trainings_agree",)
"""Judged once labels have changed where the second training as of D names the first one's version."""

ANEW = (*AGAIN, *FOUND)
PROBES = 100


def once(run: Run) -> None:
    """Two trainings as of D: the second finds nothing that was made of the same data before."""
    pair, bench = run.pair, run.bench
    run.made_by_night("night", "night")
    run.train("one", pair.today, "night")
    probes = pair.fresh(PROBES)
    bench.side_by_side(lambda: run.train("two", pair.today, "night", again=True), lambda: _answer(run, "one", probes))
    judges: tuple[Callable[[Made], Judged], ...] = (
        training.holdout_declared,
        training.known_when_asked,
        training.metric_recomputed,
        training.baseline_logged,
    )
    for check, judge in zip(DECLARED, judges, strict=True):
        with bench.guard(check):
            run.judge(check, partial(_of_made, run, judge))
    if bench.wants("trainings_agree", *HIDDEN):
        _answer(run, "two", probes)
    if not _found_again(run, pair.candidate):
        run.judge("trainings_agree", lambda stack: _alike(run, stack, "one", "two"))
    if bench.wants(*HIDDEN):
        on_hidden_days(run)


def _of_made(run: Run, judge: Callable[[Made], Judged], stack: Stack) -> Judged:
    return judge(run.made["two"].of(stack))


def _alike(run: Run, stack: Stack, one: str, two: str) -> Judged:
    first, second = run.made[one].of(stack), run.made[two].of(stack)
    return training.alike(first, second, run.likeness(stack, one, two))


def _found_again(run: Run, stack: Stack) -> bool:
    """Whether a stack's second training names the first one's version."""
    try:
        return run.made["one"].of(stack).version.version == run.made["two"].of(stack).version.version
    except StackError:
        return False  # one of them failed, and is judged


def _agree(run: Run, stack: Stack) -> Judged:
    if not _found_again(run, stack):
        return _alike(run, stack, "one", "two")
    one, relabelled = (run.made[name].of(stack) for name in ("one", "relabelled"))
    return training.found_again(one, relabelled, run.likeness(stack, "one", "relabelled"))


def _answer(run: Run, name: str, probes: Sequence[Row]) -> None:
    """Ask a kept version. Where the candidate does not serve it, what it declared of its holdout is looked at alone."""
    try:
        run.answer(name, probes)
    except StackError as exc:
        if exc.stack != run.pair.candidate.name:
            raise


def on_hidden_days(run: Run) -> None:
    """What bin/train made last, on the seven days from the business date on; inputs are echoed by any version."""
    pair, bench = run.pair, run.bench
    found = quality.ask_hidden(pair)
    bench.side_by_side(lambda: _drift(run, found), lambda: pair.register(ROLES))  # both mostly wait
    wanted = [check for check in ("trained_quality", "reported_metric_holds") if bench.wants(check)]
    with bench.guard(*wanted):
        mine, theirs = (run.made["two"].of(stack) for stack in pair.stacks)
        if "two" not in run.answers:
            sentence = f"{mine.name} was made champion, and serving does not answer with it."
            raise StackError(pair.candidate.name, sentence)
        if "trained_quality" in wanted:
            hidden.trained_quality(pair, found)
        if "reported_metric_holds" in wanted:
            hidden.metric_holds(pair, found, mine, theirs)


def _drift(run: Run, found: Hidden) -> None:
    if run.bench.wants("served_features_drift"):
        with run.bench.guard("served_features_drift"):
            hidden.features_drift(run.pair, found)


def again(run: Run) -> None:
    """After the first tick: as of D with other labels in its holdout, and as of D+1 beside what the night trained.

    A line of the code is another one from here on, so that what is made now was made of other code.
    """
    pair, bench = run.pair, run.bench
    probes = pair.fresh(PROBES)
    run.made_by_night("night first", "first")
    run.answers.pop("one", None)  # the table is another: what is compared is answered on the same one
    run.answers.pop("two", None)
    run.recoded = seen(pair, lambda stack: code.add_line(stack, NOT_CODE))
    bench.side_by_side(lambda: run.train("relabelled", run.day(0), "first"), lambda: _answer(run, "one", probes))
    bench.side_by_side(
        lambda: run.train("first", run.day(1), "first", again=True), lambda: _answer(run, "relabelled", probes)
    )
    run.judge("labels_move_no_features", lambda stack: _labels(run, stack))
    run.judge("same_data_same_digest", lambda stack: _digests(run, stack))
    run.judge("new_version_has_lineage", lambda stack: _lineage(run, stack))
    if bench.wants("second_training_agrees", "training_apart", *FOUND):
        _answer(run, "night first", probes)
        _answer(run, "first", probes)
    run.judge("second_training_agrees", lambda stack: _alike(run, stack, "night first", "first"))
    run.judge("training_apart", lambda stack: _apart(run, stack))
    run.judge("trainings_agree", lambda stack: _agree(run, stack))


def _labels(run: Run, stack: Stack) -> Judged:
    changed = min(run.relabelled())
    return training.labels_move_nothing(run.made["one"].of(stack), run.made["relabelled"].of(stack), changed)


def _digests(run: Run, stack: Stack) -> Judged:
    same = [run.made[name].of(stack) for name in ("night", "one", "two")]
    return training.same_digests(same, run.made["relabelled"].of(stack))


def _lineage(run: Run, stack: Stack) -> Judged:
    first = run.made["night"].of(stack)
    return training.has_lineage(first, run.made["night first"].of(stack), _recoded(run, stack))


def _recoded(run: Run, stack: Stack) -> Made | None:
    """The version that was made once the code was another; None where none was (another check's)."""
    try:
        found = run.made["relabelled"].of(stack)
        changed = run.recoded is not None and run.recoded.of(stack) > 0
    except StackError:
        return None
    return found if changed and found.version.version != run.made["night"].of(stack).version.version else None


def _apart(run: Run, stack: Stack) -> Judged:
    noise = 0.0
    for one, two in (("night first", "first"), ("one", "two")):
        found = run.likeness(stack, one, two)
        if found is not None and run.made[one].of(stack).version != run.made[two].of(stack).version:
            noise = max(noise, found.mean)
    found = run.likeness(stack, "one", "relabelled")
    return training.apart(run.made["one"].of(stack), run.made["relabelled"].of(stack), found, noise)
