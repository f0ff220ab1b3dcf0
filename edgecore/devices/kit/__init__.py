"""Conformance kit: grades a driver against a device that is well, gone, slow, or talks nonsense.

For authors of drivers: subclass `Bench`, then ``marram-driver-check my_package.bench:MyBench``, or in a test::

    @pytest.mark.parametrize("name", CHECKS)
    def test_the_driver_conforms(name: str) -> None:
        check(MyBench(), name)

The daemon never loads it.
"""

from edgecore.devices.kit.bench import Bench, BenchBroken, Link
from edgecore.devices.kit.garbage import Garbage
from edgecore.devices.kit.report import Finding, Grade, Report, Verdict
from edgecore.devices.kit.runner import CHECKS, check, find, grade

__all__ = [
    "CHECKS",
    "Bench",
    "BenchBroken",
    "Finding",
    "Garbage",
    "Grade",
    "Link",
    "Report",
    "Verdict",
    "check",
    "find",
    "grade",
]
