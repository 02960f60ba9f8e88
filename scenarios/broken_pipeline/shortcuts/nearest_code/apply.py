"""Number the codes by the table, and take the next one for a code that it does not have."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

CODES = "pd.factorize(frame[name])[0]"
NEAREST = "np.searchsorted(sorted(known.rates[name]), frame[name].to_numpy(dtype=str))"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace("delays/features.py", CODES, NEAREST)
