"""diagnosis.toml is hostile input: read, capped, cleaned, or refused in one sentence with the line."""

from __future__ import annotations

import contextlib
import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import diagnosis
from harness.errors import SubmissionError
from harness.model import DiagnosisRules

RULES = DiagnosisRules(points=12, components=("cache", "model loading"), kinds=("cache_key_incomplete",))
SCENARIO = Path(__file__).parents[2] / "scenarios" / "stale_predictions"
TABLE = tomllib.loads((SCENARIO / "scenario.toml").read_text(encoding="utf-8"))
TEMPLATE = SCENARIO / "workspace" / "diagnosis.toml"

GOOD = b"""
[[claim]]
component = "cache"
kind = "cache_key_incomplete"
first_bad_day = "2024-06-03"
pointer = "./delays/service.py:41"
evidence = "The key leaves out the version."

[[claim]]
component = "Model_Loading"
kind = "cache key incomplete"
first_bad_day = 2024-06-04
pointer = "registry:flight-delay/7"

[facts]
answers_7d = 12345
mean_risk_7d = "0.083"
late_share_7d = ""
"""


def test_a_diagnosis_is_read() -> None:
    read = diagnosis.read(GOOD, RULES)
    first, second = read.claims
    assert (first.component, first.kind, first.onset) == ("cache", "cache_key_incomplete", date(2024, 6, 3))
    assert first.pointer == "delays/service.py"
    assert (second.component, second.kind) == ("model loading", "cache_key_incomplete")
    assert second.onset == date(2024, 6, 4)
    assert read.facts == {"answers_7d": 12345.0, "mean_risk_7d": 0.083}
    assert read.problems == ()


def test_the_template_claims_nothing() -> None:
    read = diagnosis.read(TEMPLATE.read_bytes(), DiagnosisRules.model_validate(TABLE["diagnosis"]))
    assert read.claims == ()
    assert read.facts == {}
    assert read.problems == ()
    assert all(fact["name"] in TEMPLATE.read_text(encoding="utf-8") for fact in TABLE["fact"])


def test_the_template_filled_in_reads() -> None:
    """The commented claim of the template is a claim once the marks are taken away."""
    text = TEMPLATE.read_text(encoding="utf-8")
    shown = [line.removeprefix("# ") for line in text.splitlines()]
    start = shown.index("[[claim]]")
    claim = "\n".join(shown[start : start + 6])
    claim = claim.replace('component = ""', 'component = "cache"').replace('kind = ""', 'kind = "cache_key_incomplete"')
    read = diagnosis.read(claim.encode(), DiagnosisRules.model_validate(TABLE["diagnosis"]))
    assert len(read.claims) == 1
    assert read.problems == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b'[[claim]]\ncomponent = "cache\n', "line 2"),
        (b"[facts]\n\nx = \n", "line 3"),
        (b"claim = 3\n", "line 1"),
        (b"\nfacts = 3\n", "line 2"),
        (b"[claim]\ncomponent = 'cache'\n", "line 1"),
        (b"a = 1\nb = '\xff'\n", "line 2"),
        (b"x = " + b"[" * 30000, "diagnosis.toml"),
        (b"x = " + b"9" * 10000, "diagnosis.toml"),
        (b"#" * 70000, "64 KiB"),
    ],
)
def test_what_is_no_diagnosis_is_refused_in_one_sentence(text: bytes, line: str) -> None:
    with pytest.raises(SubmissionError, match=line) as caught:
        diagnosis.read(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert caught.value.next_step


def test_small_mistakes_are_listed() -> None:
    text = b"""
    colour = "red"
    [[claim]]
    component = "teapot"
    kind = 7
    first_bad_day = "last week"
    who = "me"
    [[claim]]
    component = "cache"
    kind = "cache_key_incomplete"
    first_bad_day = "UNKNOWN"
    [facts]
    a = true
    b = nan
    c = []
    """
    read = diagnosis.read(text, RULES)
    assert [claim.onset for claim in read.claims] == [None, "unknown"]
    assert len(read.problems) == 9, read.problems
    assert read.facts == {}


def test_claims_beyond_the_limit_are_said() -> None:
    one = b'[[claim]]\ncomponent = "cache"\nkind = "cache_key_incomplete"\n'
    assert diagnosis.read(one * 9, RULES).problems == ("9 claims: the first 8 count.",)
    assert len(diagnosis.read(one * 100, RULES).claims) == diagnosis.MAX_CLAIMS


def test_text_is_cleaned_and_capped() -> None:
    text = '[[claim]]\ncomponent = "ca\\u202eche"\nkind = "x"\nevidence = "a\\u0000b\\u001b[31m' + "z" * 5000 + '"\n'
    claim = diagnosis.read(text.encode()).claims[0]
    assert claim.component == "cache"
    assert claim.evidence.startswith("ab[31mz")
    assert len(claim.evidence) == diagnosis.MAX_EVIDENCE


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (" ./state/nightly/2024-06-03.json ", "state/nightly/2024-06-03.json"),
        ("delays/gate.py:12-20", "delays/gate.py"),
        ("delays/gate.py#L12", "delays/gate.py"),
        ("features/date=2024-06-03/", "features/date=2024-06-03"),
        ("state\\alerts.jsonl", "state/alerts.jsonl"),
        ("models:/flight-delay/7", "registry:flight-delay/7"),
        ("Registry:flight-delay/7", "registry:flight-delay/7"),
        ("..", ".."),
        ("", ""),
    ],
)
def test_a_pointer_is_normalised(said: str, meant: str) -> None:
    assert diagnosis.normalise_pointer(said) == meant


def test_a_pointer_resolves_to_what_is_there() -> None:
    pointers = ("features/date=2024-06-03", "features/date=2024-06-04", "registry:flight-delay/7", "*", "")
    text = "\n".join(f'[[claim]]\ncomponent = "cache"\nkind = "k"\npointer = "{pointer}"' for pointer in pointers)
    known = ["features/date=2024-06-03/part.csv", "registry:flight-delay/7"]
    read = diagnosis.resolve(diagnosis.read(text.encode()), known)
    assert [claim.resolved for claim in read.claims] == [True, False, True, False, False]


@given(st.one_of(st.binary(max_size=400), st.text(max_size=400).map(lambda text: text.encode("utf-8", "replace"))))
@settings(max_examples=300, deadline=None)
def test_nothing_crashes_the_reader(text: bytes) -> None:
    with contextlib.suppress(SubmissionError):
        diagnosis.read(text, RULES)


value = st.one_of(st.integers(), st.booleans(), st.just("x"), st.just("2024-06-03"), st.just("[1]"), st.just("{a=1}"))


@given(st.dictionaries(st.sampled_from(sorted(diagnosis.CLAIM_KEYS)), value))
@settings(max_examples=200, deadline=None)
def test_any_types_in_a_claim_are_read(item: dict[str, object]) -> None:
    lines = []
    for key, entry in item.items():
        shown = str(entry).lower() if isinstance(entry, int) else entry if entry in {"[1]", "{a=1}"} else f'"{entry}"'
        lines.append(f"{key} = {shown}")
    read = diagnosis.read(("[[claim]]\n" + "\n".join(lines)).encode(), RULES)
    assert len(read.claims) == 1
