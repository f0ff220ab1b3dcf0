"""A certificate authority and an enrolment endpoint for tests: what CloudCore offers, in a few lines."""

import asyncio
import contextlib
import datetime
import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)


class Authority:
    """Signs whatever it is asked to."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test-ca")])
        builder = self._builder(self._name, self._key.public_key(), NOW - DAY, NOW + 365 * DAY)
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        self._certificate = builder.add_extension(constraints, critical=True).sign(self._key, hashes.SHA256())
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.pem)).hexdigest()

    @property
    def token(self) -> str:
        return f"{self.fingerprint}.{'a' * 10}.{'b' * 32}"

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        begin: datetime.datetime,
        end: datetime.datetime,
    ) -> x509.CertificateBuilder:
        serial = x509.random_serial_number()
        made = x509.CertificateBuilder(self._name, subject, key, serial, begin, end)
        return made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)

    def sign(
        self, csr: str, name: str = "", begin: datetime.datetime = NOW - DAY, end: datetime.datetime = NOW + 100 * DAY
    ) -> str:
        """A certificate for the key of *csr*, under its own name or *name*."""
        request = x509.load_pem_x509_csr(csr.encode())
        assert request.is_signature_valid
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) if name else request.subject
        key = request.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        made = self._builder(subject, key, begin, end).sign(self._key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM).decode()

    def server_context(self, directory: Path, host: str = "cloudcore") -> ssl.SSLContext:
        """TLS as CloudCore serves it."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        builder = self._builder(subject, key.public_key(), NOW - DAY, NOW + DAY).add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = directory / "server.pem"
        file.write_bytes(private + certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        context.load_verify_locations(cadata=self.pem)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context


class Cloud:
    """Answers enrolments. *answers* overrides the next ones; what was asked is in *asked*."""

    def __init__(self, authority: Authority) -> None:
        self.authority, self.ca = authority, authority.pem
        self.asked: list[dict[str, str]] = []
        self.answers: list[str | None] = []
        self.address = ""

    async def _serve(self, connection: ServerConnection) -> None:
        asked = json.loads(await connection.recv())
        self.asked.append(asked)
        override = self.answers.pop(0) if self.answers else ""
        if override is None:
            return
        signed = {"certificate": self.authority.sign(asked["csr"]), "ca": self.authority.pem}
        await connection.send(override or json.dumps(signed))

    def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/v1/ca":
            return connection.respond(200, self.ca)  # type: ignore[arg-type]
        return None if request.path == "/v1/enroll" else connection.respond(404, "")  # type: ignore[arg-type]

    @contextlib.asynccontextmanager
    async def serving(self, context: ssl.SSLContext) -> AsyncIterator["Cloud"]:
        async with serve(
            self._serve, "127.0.0.1", 0, ssl=context, process_request=self._request, compression=None
        ) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            self.address = f"127.0.0.1:{port}"
            yield self


class Proxy:
    """An HTTP CONNECT proxy that counts its tunnels."""

    def __init__(self) -> None:
        self.tunnels: list[str] = []
        self.address = ""

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = head.split()[1]
        self.tunnels.append(target)
        host, _, port = target.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(reader, far_writer))
            group.create_task(_copy(far_reader, writer))

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Proxy"]:
        async with await asyncio.start_server(self._tunnel, "127.0.0.1", 0) as server:
            self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
