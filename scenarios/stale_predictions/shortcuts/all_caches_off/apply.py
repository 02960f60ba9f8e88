"""Switch the answer cache off, and that of the weather too."""

from __future__ import annotations

from harness.model import DrawnFault, Site, Variant

EXTRA = """

def _hours(self: Weather, wanted: Iterable[tuple[str, date]], today: date) -> dict[tuple[str, date], Hours]:
    found = {}
    for origin, day in wanted:
        answer = self.http.get("/weather", params={"origin": origin, "date": day.isoformat()})
        found[origin, day] = answer.json().get("hours", {})
    return found


Weather.hours = _hours
"""


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    old = "        new = [key for key, answer in known.items() if answer is None]\n"
    site.replace("delays/service.py", old, "        new = list(known)\n")
    path = site.workspace / "delays" / "weather.py"
    path.write_text(path.read_text(encoding="utf-8") + EXTRA, encoding="utf-8")
