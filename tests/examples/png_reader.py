"""A second reader of PNG and APNG, so that what the renderer writes is not judged by itself."""

import struct
import zlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Chunk:
    kind: bytes
    data: bytes
    checksum: int

    @property
    def intact(self) -> bool:
        return zlib.crc32(self.data, zlib.crc32(self.kind)) == self.checksum


@dataclass(frozen=True)
class Picture:
    width: int
    height: int
    pixels: bytes

    @property
    def brightness(self) -> float:
        """The mean of all channels, 0..255."""
        return sum(self.pixels) / len(self.pixels)


def chunks(png: bytes) -> list[Chunk]:
    assert png[:8] == bytes([137, 80, 78, 71, 13, 10, 26, 10])
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        (checksum,) = struct.unpack_from(">I", png, at + 8 + length)
        found.append(Chunk(png[at + 4 : at + 8], png[at + 8 : at + 8 + length], checksum))
        at += 12 + length
    assert at == len(png)
    return found


def read(png: bytes) -> Picture:
    """The picture of a PNG, or the first of an APNG."""
    found = chunks(png)
    assert [found[0].kind, found[-1].kind] == [b"IHDR", b"IEND"]
    return _decoded(found[0].data, b"".join(c.data for c in found if c.kind == b"IDAT"))


def read_animation(png: bytes) -> list[Picture]:
    """All pictures of an APNG whose frames fill the whole canvas."""
    found = chunks(png)
    frames: list[bytes] = []
    for chunk in found:
        if chunk.kind == b"fcTL":
            frames.append(b"")
        elif chunk.kind in {b"IDAT", b"fdAT"}:
            frames[-1] += chunk.data[4 if chunk.kind == b"fdAT" else 0 :]
    return [_decoded(found[0].data, frame) for frame in frames]


def _decoded(header: bytes, compressed: bytes) -> Picture:
    width, height, *form = struct.unpack(">IIBBBBB", header)
    assert form == [8, 2, 0, 0, 0], "8 bits a channel, RGB, not interlaced"
    raw, stride = zlib.decompress(compressed), 3 * width
    assert len(raw) == height * (stride + 1)
    above, rows = bytes(stride), []
    for at in range(0, len(raw), stride + 1):
        above = _unfiltered(raw[at], raw[at + 1 : at + 1 + stride], above)
        rows.append(above)
    return Picture(width, height, b"".join(rows))


def _unfiltered(kind: int, row: bytes, above: bytes) -> bytes:
    """One row of the five filters of the PNG specification."""
    out = bytearray()
    for at, value in enumerate(row):
        left = out[at - 3] if at >= 3 else 0
        corner = above[at - 3] if at >= 3 else 0
        added = (0, left, above[at], (left + above[at]) // 2, _paeth(left, above[at], corner))
        out.append((value + added[kind]) % 256)
    return bytes(out)


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda each: abs(guess - each))
