"""The world as a server over TLS, in a process of its own: a port for each kind of waiting, whose requests it counts.

`python -m waiting.mock FOLDER COUNT KIND...` writes its certificate into the folder, and prints the kinds' ports as
JSON; for each line on its standard input it prints the kinds' requests so far. It ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import cast

from typing_extensions import override

from waiting.world import World

HOST = "127.0.0.1"
CERTIFICATE = "certificate.pem"
_END = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection, kept open: reads only, so a request is its head."""

    def __init__(self, world: World, kind: str, requests: Counter[str]) -> None:
        self._world = world
        self._kind = kind
        self._requests = requests
        self._unread = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        *heads, self._unread = (self._unread + data).split(_END)
        for head in heads:
            self._requests[self._kind] += 1
            status, body = self._world.answer(head.split(b" ", 2)[1].decode())
            lines = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
                f"Date: {format_datetime(datetime.now(UTC), usegmt=True)}",
                "Content-Type: application/json",
                f"Content-Length: {len(body)}",
            )
            self._transport.write("\r\n".join(lines).encode() + _END + body)


def make_certificate(folder: Path) -> ssl.SSLContext:
    """Write a certificate that signs itself, and return the server's side of it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / CERTIFICATE).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / CERTIFICATE, folder / "key.pem")
    return context


async def serve(folder: Path, world: World, kinds: list[str]) -> None:
    loop = asyncio.get_running_loop()
    context = make_certificate(folder)
    requests = Counter(dict.fromkeys(kinds, 0))
    ports = {}
    for kind in kinds:
        make = partial(Connection, world, kind, requests)
        server = await loop.create_server(make, HOST, 0, ssl=context, backlog=4096)
        ports[kind] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(requests), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), World.of(int(sys.argv[2])), sys.argv[3:]))
