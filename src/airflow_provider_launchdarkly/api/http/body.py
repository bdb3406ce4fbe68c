"""Read a response's body piece by piece, decompressed, up to a size limit. No I/O."""

from __future__ import annotations

import zlib
from typing import Final

LARGEST_BODY: Final = 16 * 1024 * 1024
"""Most bytes of one response, sent or decompressed. A page of 50 expanded experiments has some hundred thousand."""

ACCEPTED_ENCODINGS: Final = "gzip"
"""Of the encodings that httpx can read, the one whose decompressed size can be limited while reading."""

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


class BodyReader:
    """Collects the pieces of a body and stops at the limit.

    Args:
        encoding: The response's ``Content-Encoding``; empty for none.
        limit: Most bytes to take.

    Attributes:
        unreadable: Why the body is not read to its end; empty while nothing is wrong.
    """

    def __init__(self, encoding: str, *, limit: int = LARGEST_BODY) -> None:
        self._limit = limit
        self._sent = 0
        self._size = 0
        self._pieces: list[bytes] = []
        self._inflate = None
        self.unreadable = ""
        coding = encoding.strip().lower()
        if coding in ("gzip", "x-gzip", "deflate"):
            self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        elif coding not in ("", "identity"):
            self.unreadable = f"it is encoded as {coding!r}, which the request did not accept"

    def feed(self, piece: bytes) -> bool:
        """Take the next piece.

        Args:
            piece: Bytes as they were sent.

        Returns:
            Whether to go on reading.

        Raises:
            zlib.error: The body is damaged.
        """
        if self.unreadable:
            return False
        self._sent += len(piece)
        if self._inflate is not None:
            piece = b"" if self._inflate.eof else self._inflate.decompress(piece, self._limit - self._size + 1)
        self._size += len(piece)
        if max(self._sent, self._size) > self._limit:
            self._pieces.clear()
            self.unreadable = f"it is larger than {self._limit // 1024**2} MiB"
            return False
        self._pieces.append(piece)
        return True

    @property
    def body(self) -> bytes:
        """The body so far, decompressed; empty if it cannot be read."""
        return b"".join(self._pieces)
