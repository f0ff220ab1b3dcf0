"""What push destinations need and no object holds."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings:
    """Secrets are files, read at every connection, so that they can be replaced while we run."""

    influx_token_file: Path | None = None
    """Holds the token for InfluxDB and nothing else."""

    mqtt_user: str = ""
    """For brokers that samples are pushed to. Empty: no user name is sent."""

    mqtt_password_file: Path | None = None
    """Holds the password and nothing else."""
