"""Check the age, and say at each start that features are expired."""

from __future__ import annotations

from scenario_stale_predictions.faults import expiry

from harness.model import DrawnFault, Site, Variant

EACH_TIME = "        if partition is not None:\n            self.shared.delete(name)\n"
SAID = """        if self.shared.add(f"told|{int(time.time()) // 5}", True):
            alerts.say(self.settings, "features_expired", "features", f"features may be expired on {today}")
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    site.replace(expiry.FILE, expiry.NO_BOUND, expiry.BOUND)
    site.replace(expiry.FILE, expiry.SAYS_LESS, expiry.SAYS)
    site.replace("delays/service.py", EACH_TIME, SAID + EACH_TIME)
