"""What counts as an answer: the probe must refuse whatever a hostile or sloppy stack may send."""

from __future__ import annotations

import json

import pytest

from harness.probes.answers import MAX_FEATURES, MAX_ROW_BYTES, SENTENCE, Malformed, Oversized, parse, shown

GOOD = {
    "row_id": "a1",
    "p_late": 0.31,
    "model": {"name": "flight-delay", "version": "7", "run_id": "r"},
    "feature_date": "2024-07-08",
    "features": {"carrier": "XX", "hour": 17.0, "temp_f": None},
}


def body(**changes: object) -> bytes:
    return json.dumps([GOOD | changes]).encode()


def test_a_good_answer_is_read() -> None:
    answer = parse(body(more="keys are free"), ["a1"])[0]
    assert (answer.p_late, answer.model.version, answer.features["temp_f"]) == (0.31, "7", None)


def test_whole_numbers_are_fine_where_a_number_or_a_version_is_meant() -> None:
    answer = parse(body(p_late=1, model={"name": "m", "version": 7, "run_id": "r"}, features={"hour": 17}), ["a1"])[0]
    assert (answer.p_late, answer.model.version, answer.features) == (1.0, "7", {"hour": 17.0})


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (body(p_late=1.2), "p_late"),
        (body(p_late="0.3"), "p_late"),
        (body(p_late=None), "p_late"),
        (body(p_late=True), "p_late"),
        (body(p_late=float("nan")), "NaN"),
        (body().replace(b"0.31", b"1e999"), "too large"),
        (body().replace(b"17.0", b"Infinity"), "Infinity"),
        (body(features={"hour": [1]}), "features"),
        (body(features={"hour": 10**400}), "features"),
        (body(p_late=10**400), "p_late"),
        (body(model={"name": "m", "version": "1"}), "run_id"),
        (body(row_id="a2"), "row_id"),
        (b"[]", "0 rows where 1"),
        (b"{}", "wrong"),
        (b"", "empty"),
        (b"\xff\xfe[", "JSON"),
        (b"[" * 10_000, "JSON"),
        (b"<html>down</html>", "down"),
    ],
)
def test_everything_else_is_malformed_and_says_how(bad: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        parse(bad, ["a1"])


def test_order_counts() -> None:
    two = json.dumps([GOOD | {"row_id": "b"}, GOOD | {"row_id": "a"}]).encode()
    with pytest.raises(Malformed, match="place 0"):
        parse(two, ["a", "b"])


def test_what_is_said_of_a_hostile_key_is_short_and_can_be_written_down() -> None:
    for key in ("k" * 10_000, "\ud800", "\x1b[2J\u202e\n"):
        with pytest.raises(Malformed) as caught:
            parse(body(features={key: [1]}), ["a1"])
        assert len(str(caught.value)) <= SENTENCE
        assert str(caught.value).isprintable()
    nested = [GOOD | {"model": {"name": "m", "version": "1", "run_id": ["x" * 10_000]}}]
    with pytest.raises(Malformed) as caught:
        parse(json.dumps(nested).encode(), ["a1"])
    assert len(str(caught.value)) <= SENTENCE


def test_more_keys_are_free_up_to_what_a_row_may_hold() -> None:
    assert parse(body(more="x" * (MAX_ROW_BYTES - 1000)), ["a1"])
    with pytest.raises(Oversized, match="bytes a row"):
        parse(body(more=[0.5] * 40_000), ["a1"])
    two = json.dumps([GOOD | {"more": "x" * MAX_ROW_BYTES}, GOOD | {"row_id": "a2"}]).encode()
    assert len(parse(two, ["a1", "a2"])) == 2, "the bound is for the body, by its rows"


def test_more_features_than_a_model_has_are_wrong_before_each_is_looked_at() -> None:
    assert parse(body(features={str(n): 1.0 for n in range(MAX_FEATURES)}), ["a1"])
    with pytest.raises(Malformed, match=f"features: .*more than {MAX_FEATURES}"):
        parse(body(features={str(n): [] for n in range(MAX_FEATURES + 1)}), ["a1"])


def test_rows_that_were_not_asked_for_are_counted_before_each_is_looked_at() -> None:
    with pytest.raises(Malformed, match="5000 rows where 1"):
        parse(b"[" + b"{}," * 4999 + b"{}]", ["a1"])


def test_what_is_shown_holds_no_control_characters() -> None:
    assert shown(b"\x1b[31mred\n\x00") == "[31mred"
