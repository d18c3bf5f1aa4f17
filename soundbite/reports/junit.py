"""JUnit XML: what CI systems show as tests. A suite a group, a case a check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundbite.checks import Outcome

from .model import by_group

if TYPE_CHECKING:
    from junitparser import TestCase

    from soundbite.checks import Verdict

    from .model import Report


def render(report: Report) -> str:
    """Return a report as JUnit XML.

    A check that failed is a failure, one that could not be measured an error. A warning passes, with what it says as
    output; where the report is strict it is a failure.
    """
    from junitparser import Error, JUnitXml, TestCase, TestSuite

    report = report.readable()
    document = JUnitXml(f"validation of {report.environment}")
    suites = {
        group: [_case(each, report) for each in verdicts] for group, verdicts in by_group(report.verdicts).items()
    }
    if report.incomplete:
        # Without it, a reader that counts cases would take it for passed.
        case = TestCase("validation.complete", f"{report.environment}.validation", 0.0)
        case.result = Error(report.incomplete, Outcome.INCONCLUSIVE.value)
        suites.setdefault("validation", []).append(case)
    for group, cases in suites.items():
        suite = TestSuite(group)
        suite.timestamp = report.started
        for name, text in report.facts.items():
            suite.add_property(name, text)
        suite.add_testcases(cases)
        document.append(suite)
    document.update_statistics()
    return str(document.tostring().decode()) + "\n"


def _case(verdict: Verdict, report: Report) -> TestCase:
    from junitparser import Error, Failure, Skipped, TestCase

    case = TestCase(verdict.check, f"{report.environment}.{verdict.group}", round(verdict.seconds, 3))
    kinds = {Outcome.FAIL: Failure, Outcome.INCONCLUSIVE: Error, Outcome.SKIP: Skipped}
    if report.strict:
        kinds[Outcome.WARN] = Failure
    if verdict.outcome in kinds:
        case.result = kinds[verdict.outcome](verdict.message, verdict.outcome.value)
    lines = [verdict.title, verdict.message, f"→ {verdict.hint}" if verdict.hint else ""]
    case.system_out = "\n".join(line for line in lines if line)
    return case
