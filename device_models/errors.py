"""What is wrong with a model, a device or a value, said with the path of the field."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong: ``spec.properties[2].visitors.configData.offset``: ``must be 0 to 65535, not -1``."""

    path: str
    message: str
    fatal: bool = True
    """Whether something was left out because of it. If not, it is a warning: all of it is used."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class BadValue(ValueError):
    """A value does not fit its property; the message says which rule it breaks."""
