"""A frame of the flight: one day and one night above a fjord; its end meets its start."""

from examples.animation.backdrop import backdrop
from examples.animation.camera import camera
from examples.animation.land import land
from examples.animation.relief import Daylight, Scene, depths, draw_land
from examples.animation.sky import sky
from examples.animation.water import draw_water


def frame(moment: float, width: int, height: int) -> bytes:
    """The picture at this part of the flight, 0..1: RGB, 8 bits a channel, rows from the top."""
    eye, air = camera(moment, width, 2 * height), sky(moment)
    scene = Scene(eye, air, land(), Daylight(land(), air), depths(eye))
    pixels = bytearray(3 * width * height)
    for number, (behind, mirrored) in zip(range(width), backdrop(eye, air), strict=False):
        column = draw_land(scene, number, behind)
        draw_water(scene, number, column, mirrored)
        for channel in range(3):
            place = slice(3 * number + channel, None, 3 * width)
            pixels[place] = _halved(column.pixels[channel::3])
    return bytes(pixels)


def _halved(rows: bytearray) -> bytes:
    return bytes([(upper + lower) >> 1 for upper, lower in zip(rows[::2], rows[1::2], strict=True)])
