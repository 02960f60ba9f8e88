"""Reports: every text is only text, no number flatters, and files can be read back."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_records import HOSTILE, OUTCOMES, good, hostile, scored

from harness import report
from harness.errors import UsageError
from harness.model import CheckResult, Outcome, Series, Skill
from harness.report import charts, numbers, page, points
from harness.text import one_line, plain

MAX_BYTES = 2_000_000
ALLOWED_TAGS = frozenset(
    [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "a",
        "div",
        "header",
        "b",
        "span",
        "h1",
        "h2",
        "h3",
        "dl",
        "dt",
        "dd",
        "p",
        "strong",
        "nav",
        "ul",
        "ol",
        "li",
        "main",
        "section",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "br",
        "code",
        "small",
        "svg",
        "desc",
        "line",
        "text",
        "path",
        "figure",
        "figcaption",
        "details",
        "summary",
        "footer",
    ]
)


class Tags(HTMLParser):
    """Collects tags, attributes and text, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_report_is_three_files(tmp_path: Path) -> None:
    paths = report.write(good(), tmp_path / "out")
    assert [path.name for path in paths] == ["result.json", "report.html", "junit.xml"]
    assert report.read_record(paths[0]) == good()
    assert json.loads(paths[0].read_text(encoding="ascii"))["format"] == 1


def test_equal_records_give_equal_pages() -> None:
    assert page.html(good()) == page.html(good())


def test_the_page_says_what_an_evaluator_needs() -> None:
    text = Tags(page.html(good())).text
    for said in (
        "39.5–59.5",
        "Practice run: not certifiable",
        "not examined",
        "one input beside a structured interview",
        "no pass mark unless the evaluator sets one",
        "41 of 50 repeated rows still had the answer of version 11",
        "41 of 50 rows differ by up to 0.182",
        "Still there",
        "Every challenger is promoted, the constant one too.",
        "No claim names this fault.",
        "delays/service.py",
        "Since 21 May every answer came from version 3",
        "9f2c" * 16,
        "12 January 2026, 10:15 UTC",
        "3.17.2",
    ):
        assert said in text, said


def test_an_exam_run_has_no_banner_and_an_incomplete_one_has() -> None:
    text = page.html(good(certifiable=True))
    assert "Practice run" not in text
    incomplete = good().score.model_copy(update={"complete": False})
    assert "This run is incomplete" in page.html(good(score=incomplete))


@pytest.mark.parametrize("kind", ["submitted", "received"])
def test_a_late_submission_is_told_on_the_page_and_in_the_table(tmp_path: Path, kind: str) -> None:
    in_time = good()
    said = {"sha256": in_time.submission_sha256, "late": True}
    last = in_time.journal[-1].model_copy(update={"kind": kind, "data": said})
    late = good(journal=(*in_time.journal[:-1], last), minutes_used=123.4)
    assert "Submitted after the deadline" not in page.html(in_time)
    assert "123.4 minutes after the start; 120 were allowed" in Tags(page.html(late)).text
    report.scores_csv([in_time, late], tmp_path / "scores.csv")
    rows = list(csv.DictReader((tmp_path / "scores.csv").open(encoding="utf-8", newline="")))
    assert [row["late"] for row in rows] == ["no", "yes"]


def test_a_journal_of_another_submission_makes_nobody_late() -> None:
    record = good()
    last = record.journal[-1].model_copy(update={"data": {"sha256": "0" * 64, "late": True}})
    assert not page.late(record.model_copy(update={"journal": (*record.journal[:-1], last)}))


@pytest.mark.parametrize("size", [100, 3000])
def test_hostile_text_is_inert_and_the_page_stays_small(size: int) -> None:
    text = page.html(hostile(size))
    assert len(text.encode()) < MAX_BYTES
    seen = Tags(text)
    assert seen.tags <= ALLOWED_TAGS
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name in {"src", "srcdoc", "action"}]
    links = [value for name, value in seen.attributes if name in {"href", "xlink:href"}]
    assert all(link.startswith(("#", "evidence/")) and ".." not in link for link in links)
    assert "<script>alert(1)</script>" in seen.text  # shown, not run
    assert "{{ 7*7 }}" in seen.text
    assert not [char for char in text if char in "\x00\x1b\u202e\u2066\u200b\ud800"]


def test_nothing_is_loaded_from_elsewhere() -> None:
    text = page.html(good())
    assert "default-src 'none'" in text
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    assert "url(" not in text


def test_the_page_is_accessible() -> None:
    text = page.html(good())
    seen = Tags(text)
    assert len(seen.ids) == len(set(seen.ids))
    assert text.count("<table") == text.count("<caption>")
    assert text.count('role="img"') == text.count("<title id=") == text.count("<desc id=") == 2
    labelled = {part for name, value in seen.attributes if name == "aria-labelledby" for part in value.split()}
    targets = {value[1:] for name, value in seen.attributes if name == "href" and value.startswith("#")}
    assert labelled | targets <= set(seen.ids)
    assert 'lang="en"' in text


def _contrast(first: str, second: str) -> float:
    """WCAG 2.2 contrast ratio of two #rrggbb colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
        red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _palettes() -> list[dict[str, str]]:
    css = (Path(page.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
    palettes = []
    for block in css.split(":root {")[1:]:
        pairs = (item.split(":") for item in block.split("}")[0].replace("\n", "").split(";") if ": #" in item)
        palettes.append({name.strip().removeprefix("--"): value.strip() for name, value in pairs})
    return palettes


def test_text_has_enough_contrast_in_both_schemes() -> None:
    light, dark = _palettes()[:2]
    for colours in (light, dark):
        for text in ("ink", "quiet", "accent", "pass", "fail", "inconclusive", "error"):
            for ground in ("page", "card"):
                assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        assert _contrast(colours["ink"], colours["warn-page"]) >= 4.5
        for line in ("l1", "l2", "l3", "l4", "l5", "boot", "load", "drill", "measure"):
            assert _contrast(colours[line], colours["card"]) >= 3, line


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (100, "100"),
        (99.97, "99.9"),
        (99.4, "99.4"),
        (0, "0"),
        (0.01, "0.1"),
        (-0.01, "-0.1"),
        (17, "17"),
        (41.25, "41.2"),
    ],
)
def test_numbers_never_flatter(value: float, shown: str) -> None:
    assert numbers.figure(value) == shown


@given(st.floats(0, 100))
def test_only_a_hundred_is_shown_as_a_hundred(value: float) -> None:
    assert (numbers.figure(value) == "100") == (value == 100)
    assert abs(float(numbers.figure(value)) - value) <= 0.1 + 1e-9


def test_times_and_ranges_for_people() -> None:
    assert [numbers.duration(s) for s in (0.04, 9.96, 59.6, 125, 3725)] == [
        "0.0 s",
        "10 s",
        "1 min 0 s",
        "2 min 5 s",
        "1 h 2 min",
    ]
    assert numbers.span(41.52, 41.54) == "41.5"
    assert numbers.span(41.5, 61.5) == "41.5–61.5"
    assert numbers.moment("2026-01-12T11:15:00+01:00") == "12 January 2026, 10:15 UTC"
    assert numbers.moment("yesterday") == "yesterday"
    assert numbers.signed(-4) == "−4"


def test_withheld_points_of_a_skill_are_a_range_and_not_lost() -> None:
    found = {item.skill: item.points for item in points.skills(scored())}
    assert found[Skill.EVALUATION] == points.Range(0, 20, 20), "worse_held_back is worth 20, and too noisy to say"
    assert found[Skill.PRODUCTION] == points.Range(36, 36, 65)
    assert found[Skill.COMMUNICATION] == points.Range(3.5, 3.5, 15)


def test_a_run_of_which_nothing_was_measured_takes_no_points_from_a_skill() -> None:
    found = {item.skill: item.points for item in points.skills(scored(**dict.fromkeys(OUTCOMES, Outcome.ERROR)))}
    assert found[Skill.PRODUCTION] == points.Range(0, 65, 65)
    assert "0–65 of 65" in report.html(good(score=scored(**dict.fromkeys(OUTCOMES, Outcome.ERROR))))


def test_withheld_points_first_make_up_for_what_safeguards_cost() -> None:
    lost = dict.fromkeys(("follows_promotion", "follows_second_tick", "repeats_are_fast", "latency"), Outcome.FAIL)
    score = scored(**lost, answer_follows_version=Outcome.INCONCLUSIVE)
    found = next(item.points for item in points.skills(score) if item.skill is Skill.PRODUCTION)
    assert found == points.Range(0, 15 - 4, 65)


def test_the_points_of_a_fault_are_a_range_where_some_are_withheld() -> None:
    found = {item.fault.slot: item.points for item in points.broken(good())}
    assert found["gate"] == points.Range(0, 20, 20)
    assert found["cache"] == points.Range(0, 0, 25)


@pytest.mark.parametrize("measured", points.UNSEEN)
def test_a_fault_that_nobody_could_look_at_is_not_said_to_be_there(measured: str) -> None:
    seen = scored(**dict.fromkeys(OUTCOMES, Outcome.FAIL))
    unseen = [
        check.model_copy(update={"result": check.result.model_copy(update={"measured": measured})})
        for check in seen.checks
    ]
    unseen_score = seen.model_copy(update={"checks": tuple(unseen)})
    assert {item.state for item in points.broken(good(score=seen))} == {"still there"}
    assert {item.state for item in points.broken(good(score=unseen_score))} == {"unclear"}


def test_a_claim_of_which_only_the_component_is_right_does_not_pass_for_a_diagnosis() -> None:
    found = {item.fault.slot: item.diagnosed for item in points.broken(good())}
    assert found["gate"] == "gate / resolved_once (only the component is right)"
    assert found["cache"] == ""


@pytest.mark.parametrize(
    ("measured", "unit", "shown"),
    [
        ("2.4", "s", "2.4 s"),
        ("+0.013", "log loss", "+0.013 log loss"),
        ("9 of 10", "windows", "9 of 10 windows"),
        ("1.15 (0.66–1.36)", "ratio", "1.15 (0.66–1.36) ratio"),
        ("2019-06-27", "date", "2019-06-27"),
        ("19 rows", "rows", "19 rows"),
        ("champion 30, previous 32", "", "champion 30, previous 32"),
        ("not reached", "s", "not reached"),
        ("", "rows", ""),
    ],
)
def test_what_was_measured_has_its_unit(measured: str, unit: str, shown: str) -> None:
    result = CheckResult(id="latency", outcome=Outcome.PASS, sentence="", measured=measured, unit=unit)
    assert numbers.measured(result) == shown


def test_lost_points_are_sorted_and_complete() -> None:
    score = good().score
    found = points.lost(score)
    assert [(entry.item.spec.id, entry.points, entry.withheld) for entry in found] == [
        ("answer_follows_version", -15, 0),
        ("repeats_are_fast", -10, 0),
        ("latency", -4, 0),
        ("worse_held_back", 0, 20),
    ]


@given(
    st.lists(st.one_of(st.floats(), st.integers(-(10**9), 10**9).map(float)), min_size=0, max_size=40),
    st.one_of(st.none(), st.floats()),
)
def test_any_series_can_be_laid_out(values: list[float], limit: float | None) -> None:
    lines: dict[str, tuple[float | None, ...]] = {"a": tuple(values), "b": (None,) * len(values)}
    series = Series(
        title="t", x_label="x", y_label="y", x=tuple(map(float, range(len(values)))), lines=lines, limit=limit
    )
    layout = charts.chart(series)
    if layout is not None:
        assert "nan" not in layout.lines[0].path
        assert "inf" not in layout.lines[0].path
        assert len(layout.y_ticks) < 20


def test_a_cell_is_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    starts = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\x00=1", "\r=1", "\u202e=1", 'a,b\n"c"')
    report.scores_csv([good(attempt=start) for start in starts], path)
    rows = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
    assert len(rows) == len(starts)
    assert all(row["attempt"].startswith("'") for row in rows[:-1])
    assert rows[-1]["attempt"] == 'a,b "c"'
    assert rows[0]["score_low"] == "39.5"
    assert rows[0]["production"] == "36 of 65"
    assert rows[0]["evaluation"] == rows[0]["data"] == ""


def test_a_skill_of_which_points_are_withheld_is_a_range_in_the_table_of_scores(tmp_path: Path) -> None:
    report.scores_csv([good(score=scored(answer_follows_version=Outcome.ERROR))], tmp_path / "scores.csv")
    (row,) = csv.DictReader((tmp_path / "scores.csv").open(encoding="utf-8", newline=""))
    assert row["production"] == "36 to 61 of 65", "the cache's other check stands on it"


def test_junit_is_xml_with_a_case_for_each_check() -> None:
    root = ET.fromstring(report.junit_xml(good()))
    outcomes = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}
    assert outcomes["answer_follows_version"] == ["failure"]
    assert outcomes["worse_held_back"] == ["skipped"]
    assert outcomes["rows_agree"] == []
    ET.fromstring(report.junit_xml(hostile()))


def test_hostile_records_are_written_and_read(tmp_path: Path) -> None:
    record = hostile().model_copy(update={"changes": (), "journal": (), "charts": ()})
    path = report.write(record, tmp_path)[0]
    path.read_text(encoding="ascii")
    assert report.read_record(path).scenario.startswith("</style>")
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError):
        report.read_record(path)


def test_plain_text() -> None:
    assert plain("a\r\nb\rc\x00\x1b\u202e\u2028d", 100) == "a\nb\ncd"
    assert plain("e" + "\u0301" * 50, 100) == "e" + "\u0301" * 4
    assert plain("x" * 50, 10) == "x" * 6 + " […]"
    assert len(plain(HOSTILE * 1000, 500)) == 500
    assert one_line(" a \n\t b ", 100) == "a b"
