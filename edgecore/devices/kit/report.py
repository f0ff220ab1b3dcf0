"""Pure: findings, the grade they make, and how both are shown."""

import dataclasses
import enum
import json
from collections.abc import Sequence


class Grade(enum.StrEnum):
    """How far a driver can be trusted; each includes those before it."""

    NONE = "none"
    BRONZE = "bronze"
    """Keeps the contract while the device is well."""
    SILVER = "silver"
    """Also when the link or the device is not."""
    GOLD = "gold"
    """Also over weeks."""


class Verdict(enum.StrEnum):
    PASS = "PASS"
    FAIL = "FAIL"
    NOT_APPLICABLE = "n/a"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    grade: Grade
    """Which grade wants it."""
    rule: str
    verdict: Verdict
    reason: str = ""
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """All findings of one driver."""

    driver: str
    findings: Sequence[Finding]

    @property
    def failed(self) -> Sequence[Finding]:
        return [finding for finding in self.findings if finding.verdict is Verdict.FAIL]

    @property
    def grade(self) -> Grade:
        """The highest grade with something passed and nothing failed, up to there."""
        reached = Grade.NONE
        for grade in (Grade.BRONZE, Grade.SILVER, Grade.GOLD):
            verdicts = {finding.verdict for finding in self.findings if finding.grade is grade}
            if Verdict.FAIL in verdicts or Verdict.PASS not in verdicts:
                break
            reached = grade
        return reached

    def table(self) -> str:
        """For people."""
        width = max((len(finding.check) for finding in self.findings), default=0)
        lines = []
        for finding in self.findings:
            text = finding.rule if finding.verdict is Verdict.PASS else finding.reason
            lines.append(f"{finding.verdict:<4}  {finding.grade:<6}  {finding.check:<{width}}  {text}")
        return "\n".join([*lines, "", f"{self.driver}: {self.grade}"])

    def json(self) -> str:
        """For machines."""
        findings = [dataclasses.asdict(finding) for finding in self.findings]
        return json.dumps({"driver": self.driver, "grade": self.grade, "findings": findings}, indent=2)
