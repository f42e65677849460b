"""Colours as people see them: families of a hue from light to dark, and what a colour becomes on a dark page.

OKLCH (Ottosson 2020): lightness 0 to 1, chroma, hue in degrees. Equal steps of lightness look equal, whatever the hue.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from matplotlib.colors import to_hex, to_rgb

_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
LIGHTEST, DARKEST, TURN = 0.80, 0.36, 26.0
"""Ends of a family in lightness, and how far its hue turns to either side, degrees."""
WARM = (20.0, 100.0)
"""Hues from red to yellow, which turn to yellow as they lighten; the others turn the other way round."""
GREY = 0.03
"""Chroma below which a colour is a grey."""


class Oklch(NamedTuple):
    """A colour."""

    lightness: float
    chroma: float
    hue: float
    """Degrees."""


def to_oklch(colour: str) -> Oklch:
    """Return a colour that matplotlib knows as lightness, chroma and hue."""
    srgb = np.array(to_rgb(colour))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    lightness, a, b = (_TO_LAB @ np.cbrt(_TO_LMS @ linear)).tolist()
    return Oklch(lightness, math.hypot(a, b), math.degrees(math.atan2(b, a)))


def to_hexadecimal(colour: Oklch) -> str:
    """Return a colour as `#rrggbb`, less colourful where the screen has none so colourful."""
    duller = (_srgb(colour._replace(chroma=chroma)) for chroma in np.linspace(colour.chroma, 0, 40).tolist())
    srgb = next((one for one in duller if one.min() > -1e-3 and one.max() < 1.001), _srgb(colour._replace(chroma=0.0)))
    red, green, blue = np.clip(srgb, 0, 1).tolist()
    return to_hex((red, green, blue))


def family(hue: str, depth: float) -> str:
    """Return a relative of a colour: from light (depth 0) to dark (1), its hue turned a little on the way."""
    own = to_oklch(hue)
    turn = TURN if WARM[0] < own.hue < WARM[1] else -TURN
    lightness = LIGHTEST + (DARKEST - LIGHTEST) * depth
    return to_hexadecimal(Oklch(lightness, max(own.chroma, 0.12), own.hue + turn * (1 - 2 * depth)))


def on_dark(colour: str) -> str:
    """Return what a colour of a white page becomes on a dark one: as far from the page, in the same order."""
    own = to_oklch(colour)
    if own.chroma < GREY:
        return to_hexadecimal(own._replace(lightness=0.95 - 0.45 * own.lightness))
    return to_hexadecimal(own._replace(lightness=min(max(0.62 + 0.6 * (own.lightness - 0.4), 0.62), 0.9)))


def _srgb(colour: Oklch) -> np.ndarray:
    angle = math.radians(colour.hue)
    lab = np.array([colour.lightness, colour.chroma * math.cos(angle), colour.chroma * math.sin(angle)])
    linear = np.linalg.solve(_TO_LMS, np.linalg.solve(_TO_LAB, lab) ** 3)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.clip(linear, 0, None) ** (1 / 2.4) - 0.055)
