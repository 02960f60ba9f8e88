"""What one seed draws, and how faults get into a laid-out site."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.errors import ScenarioError
from harness.model import DrawnFault, Form, Site, Variant
from harness.scenario import Scenario


def draw(scenario: Scenario, seed: int) -> Variant:
    """The variant of a seed: the story's values, then one form for each slot that the strata draw.

    Each slot draws from a generator of its own, so that a new form in one slot leaves the others as they were. A form
    that an earlier slot's form is kept apart from is not drawn.
    """
    spec = scenario.spec
    values: Mapping[str, Any] = scenario.story().values(_generator(seed, "values"))
    slots: list[str] = []
    for number, stratum in enumerate(spec.stratum):
        slots += _generator(seed, f"stratum {number}").sample(stratum.slots, stratum.draw)
    faults: list[DrawnFault] = []
    for slot in sorted(slots, key=spec.slots.index):
        barred = frozenset[str]().union(*(spec.kept_apart(fault.id) for fault in faults))
        forms = [form for form in scenario.forms if form.id not in barred]
        faults.append(_draw_form(forms, slot, values, seed))
    return Variant(scenario=spec.id, seed=seed, values=values, faults=tuple(faults))


def form_of(forms: Iterable[Form], fault: DrawnFault) -> Form:
    """The form that a drawn fault is of. Raises ScenarioError when the scenario no longer has it."""
    for form in forms:
        if form.id == fault.id:
            return form
    raise ScenarioError(f"There is no fault form {fault.id!r}.")


def break_site(scenario: Scenario, variant: Variant, site: Site) -> None:
    """Put the variant's faults into a healthy site and let the story's traces show them."""
    for fault in variant.faults:
        form_of(scenario.forms, fault).apply(site, fault)
    for fault in variant.faults:
        tell = form_of(scenario.forms, fault).tell
        if tell is not None:
            tell(site, fault)
    scenario.story().finish(variant, site)


def with_faults(variant: Variant, faults: Sequence[DrawnFault]) -> Variant:
    """The same story with other faults."""
    return variant.model_copy(update={"faults": tuple(faults)})


def _draw_form(forms: Sequence[Form], slot: str, values: Mapping[str, Any], seed: int) -> DrawnFault:
    generator = _generator(seed, slot)
    of_slot = [form for form in forms if form.slot == slot]
    if not of_slot:
        raise ScenarioError(f"Slot {slot!r} has no fault form that may be drawn.")
    return generator.choice(of_slot).draw(generator, values)


def _generator(seed: int, purpose: str) -> random.Random:
    return random.Random(f"{seed}/{purpose}")
