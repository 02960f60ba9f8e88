"""Convert the one source that changed, by its name and from its day on, in landing and in forecasts."""

from __future__ import annotations

from scenario_broken_pipeline import landing
from scenario_broken_pipeline.faults import common

from harness.model import DrawnFault, Site, Variant

READ = """\
    manifest = json.loads((place / f"{number}.json").read_bytes())
"""
FORECAST = '    return canonical(hours, answer["units"]).to_dict("index")\n'
BACK = {
    "temp_f": "frame * 1.8 + 32",
    "wind_mph": "frame * 2.23694 / 1.15078",
    "distance_mi": "frame / 1.609344",
}
HELPER = """\
def mended(frame: pd.DataFrame, origin: str, day: str) -> pd.DataFrame:
    if origin == "{source}" and day >= "{since}" and "{column}" in frame:
        return frame.assign({column}=frame["{column}"].pipe(lambda frame: {back}))
    return frame


def _read("""
PARTS = "_read(place, name, manifest[name]).assign(**known)"
MENDED = "mended(_read(place, name, manifest[name]), place.parent.name, place.name).assign(**known)"


def apply(site: Site, variant: Variant, fault: DrawnFault) -> None:
    """Edit the broken site in place."""
    column, source = fault.values["column"], fault.values["source"]
    helper = HELPER.format(source=source, since=fault.onset, column=column, back=BACK[column])
    site.replace(common.DELIVERIES, "def _read(", helper)
    site.replace(common.DELIVERIES, PARTS, MENDED)
    site.replace(common.FEATURES, "import Refused, canonical\n", "import Refused, canonical, mended\n")
    site.replace(
        common.FEATURES,
        FORECAST,
        '    return mended(canonical(hours, answer["units"]), origin, str(day)).to_dict("index")\n',
    )
    landing.anew(site, variant.business_date)
