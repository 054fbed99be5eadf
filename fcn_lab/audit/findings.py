"""The conclusions from the numbers of an audit, worst first."""

from collections.abc import Callable, Iterator

from fcn_lab.audit import copy_checks, file_checks
from fcn_lab.audit.audit import Audit
from fcn_lab.audit.finding import Finding

Check = Callable[[Audit], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (*file_checks.CHECKS, *copy_checks.CHECKS)


def collect_findings(audit: Audit) -> list[Finding]:
    """Returns the findings of all checks, worst first."""
    findings = [finding for check in CHECKS for finding in check(audit)]
    return sorted(findings, key=lambda finding: finding.level)
