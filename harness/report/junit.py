"""A run as JUnit XML, for machines that already read test reports."""

from __future__ import annotations

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from harness.model import CheckScore, Outcome, RunRecord
from harness.report.numbers import figure, measured
from harness.text import one_line

MAX_MESSAGE = 1000


def junit_xml(record: RunRecord) -> str:
    """One suite a slot, one case a check. INCONCLUSIVE is `skipped`, ERROR is `error`; points stand in properties."""
    report = JUnitXml(one_line(f"{record.scenario} seed {record.seed}", MAX_MESSAGE))
    for slot in dict.fromkeys(item.spec.slot for item in record.score.checks):
        suite = TestSuite(one_line(f"{record.scenario}.{slot}", MAX_MESSAGE))
        mine = [item for item in record.score.checks if item.spec.slot == slot]
        suite.add_property("points_possible", figure(sum(item.possible for item in mine)))
        suite.add_property("points_earned", figure(sum(item.earned for item in mine)))
        for item in mine:
            suite.add_testcase(_case(record, item))
        report.add_testsuite(suite)
    report.update_statistics()
    text = report.tostring()
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + (text.decode("utf-8") if isinstance(text, bytes) else str(text))


def _case(record: RunRecord, item: CheckScore) -> TestCase:
    suite = one_line(f"{record.scenario}.{item.spec.slot}", MAX_MESSAGE)
    case = TestCase(one_line(item.spec.id, MAX_MESSAGE), classname=suite)
    message = one_line(_message(item), MAX_MESSAGE)
    kind = {Outcome.FAIL: Failure, Outcome.INCONCLUSIVE: Skipped, Outcome.ERROR: Error}.get(item.result.outcome)
    if kind is not None:
        case.result = [kind(message, type_=item.result.outcome.value)]
    return case


def _message(item: CheckScore) -> str:
    result = item.result
    found = f" Measured: {measured(result)}." if result.measured else ""
    limit = f" Limit: {result.limit}." if result.limit else ""
    return f"{result.sentence}{found}{limit} {item.why}"
