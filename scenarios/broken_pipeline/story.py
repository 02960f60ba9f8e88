"""The story of a variant: its values, the healthy world in an empty site, and the facts of the incident."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

from scenario_base import flights

from . import deliveries

REAL_BUSINESS_DAYS = ((date(2013, 6, 10), date(2013, 8, 8)),)


def values(rng: random.Random) -> dict[str, Any]:
    """What a seed draws: the remapping (`flights.draw`), and what is odd about the deliveries (`deliveries.draw`)."""
    drawn = flights.draw(rng, REAL_BUSINESS_DAYS)
    return {**drawn, **deliveries.draw(rng, date.fromisoformat(drawn["business_date"]))}
