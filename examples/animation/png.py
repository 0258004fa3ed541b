"""PNG pictures and APNG animations, written and read with zlib and struct."""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, repeat
from operator import sub

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MODULO_256 = range(256)  # indexed by a difference of two bytes: -1 is 255


class BadPicture(ValueError):
    """These bytes are no complete PNG picture."""


def picture(width: int, height: int, pixels: bytes) -> bytes:
    """One PNG of `width * height` RGB pixels, 8 bits a channel, rows from the top."""
    stride = 3 * width
    rows = [pixels[at : at + stride] for at in range(0, height * stride, stride)]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(_filtered(rows)))
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def animation(pictures: Sequence[bytes], frames_per_second: int) -> bytes:
    """One endless APNG that shows these PNGs in turn; all of them must have the same header.

    A frame of an APNG is the compressed data of a PNG in another wrapping, so nothing is decoded.
    """
    numbers = count()
    header, first = _opened(pictures[0])
    width, height = struct.unpack(">II", header[:8])
    control = struct.pack(">IIIIHHBB", width, height, 0, 0, 1, frames_per_second, 0, 0)
    parts = [
        SIGNATURE,
        _chunk(b"IHDR", header),
        _chunk(b"acTL", struct.pack(">II", len(pictures), 0)),
        _chunk(b"fcTL", struct.pack(">I", next(numbers)) + control),
        _chunk(b"IDAT", first),
    ]
    for each in pictures[1:]:
        other, data = _opened(each)
        if other != header:
            raise BadPicture("the pictures of an animation must have one size and format")
        parts.append(_chunk(b"fcTL", struct.pack(">I", next(numbers)) + control))
        parts.append(_chunk(b"fdAT", struct.pack(">I", next(numbers)) + data))
    return b"".join([*parts, _chunk(b"IEND", b"")])


def size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels; BadPicture where the file is damaged or cut short."""
    width, height = struct.unpack(">II", _opened(png)[0][:8])
    return width, height


def _opened(png: bytes) -> tuple[bytes, bytes]:
    """The header and the compressed pixels of a whole PNG."""
    chunks = list(_chunks(png))
    kinds = [kind for kind, _ in chunks]
    if kinds[:1] != [b"IHDR"] or kinds[-1:] != [b"IEND"] or b"IDAT" not in kinds:
        raise BadPicture("not a complete PNG: a chunk is missing")
    return chunks[0][1], b"".join(data for kind, data in chunks if kind == b"IDAT")


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not png.startswith(SIGNATURE):
        raise BadPicture("not a PNG: the signature is missing")
    at = len(SIGNATURE)
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        whole = png[at : at + length + 12]
        if _chunk(whole[4:8], whole[8:-4]) != whole:
            raise BadPicture(f"not a complete PNG: the chunk at byte {at} is damaged or cut short")
        yield whole[4:8], whole[8:-4]
        at += length + 12


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def _filtered(rows: Iterable[bytes]) -> Iterator[bytes]:
    """Each row as its difference to the row above, which smooth pictures are small in."""
    above: Iterable[int] = repeat(0)
    for row in rows:
        yield b"\x02" + bytes(map(_MODULO_256.__getitem__, map(sub, row, above)))
        above = row
