"""A pytest plugin for CI, loaded with `-p tests.no_skips`: there a skipped test is a failed one.

On a developer's machine a program may be missing and its tests skip; CI installs them all, so a
skip there means that a rule has quietly lost its test. An expected failure (xfail) is no skip.
"""

from collections.abc import Generator

import pytest


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longreprtext}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the report of a skipped test into that of a failed one."""
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself while it is collected (`importorskip`)."""
    report = yield
    _fail_if_skipped(report)
    return report
