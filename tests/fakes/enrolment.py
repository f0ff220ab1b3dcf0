"""What enrolment is tried with: a gateway with a key, and a clock on which sleeping takes no time."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime(2026, 3, 1, 12, 0, 0, tzinfo=datetime.UTC)


class SteppingClock:
    """Stands still until it is moved or somebody sleeps."""

    def __init__(self) -> None:
        self.wall, self.time = NOW, 0.0

    def now(self) -> float:
        return self.time

    def utc(self) -> datetime.datetime:
        return self.wall

    async def sleep(self, seconds: float) -> None:
        self.forward(datetime.timedelta(seconds=seconds))

    def forward(self, by: datetime.timedelta) -> None:
        self.wall += by
        self.time += by.total_seconds()


class Gateway:
    """A key and what it can ask for."""

    def __init__(self, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())

    def csr(self, common_name: str | None = None) -> str:
        names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
