"""Simulated imagery of the sample: reflectance, clouds, scene classification, backscatter, coherence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cbm_lake.demo.phenology import Growth

Floats = NDArray[np.float64]

BANDS = {"B02": 10, "B03": 10, "B04": 10, "B05": 20, "B08": 10, "B11": 20}
"""Sentinel-2 bands of the sample and their pixel size in metres."""
SOIL = {"B02": 0.070, "B03": 0.100, "B05": 0.170, "B11": 0.290}
LEAF = {"B02": 0.026, "B03": 0.062, "B05": 0.105, "B11": 0.175}
FLOWER = {"B02": -0.004, "B03": 0.055, "B05": 0.045, "B11": 0.01}
"""What full rape flower adds."""
WATER = {"B02": 0.034, "B03": 0.030, "B05": 0.004, "B11": 0.0}
"""What clear water adds: it is blue-green."""
SOIL_SUM, LEAF_SUM = 0.34, 0.47
"""B04 + B08 of bare soil and of closed vegetation; the NDVI then gives both bands."""
BARE, CLOSED = 0.14, 0.90
"""NDVI of no and of full vegetation cover."""
CLOUD = {"B02": 0.60, "B03": 0.58, "B04": 0.58, "B05": 0.59, "B08": 0.62, "B11": 0.38}
SHADOW_OFFSET = (-0.11, -0.06)
"""How far a shadow lies north and west of its cloud, as shares of the image (sun in the south-east)."""
UNSEEN_CLASSES = (3, 8, 9, 10)
"""Scene classes of cloud and shadow that are drawn."""


@dataclass(frozen=True)
class Sky:
    """Clouds over the landscape."""

    cloud: Floats
    """Opacity per pixel, 0 (clear) to 1."""
    shadow: Floats
    """Share of the light that is missing per pixel."""


@dataclass(frozen=True)
class Ground:
    """The landscape per surface over time, and the surface of each pixel."""

    growth: Growth
    labels: NDArray[np.int64]
    texture: Floats
    """How the NDVI of each pixel differs from its surface's, in standard deviations."""
    soil: Floats
    """How much brighter than others each pixel is when bare, as a share."""

    def ndvi(self, day: float) -> Floats:
        """NDVI per pixel, blurred as by a sensor's point spread function."""
        days = np.array([day])
        surface = self.growth.ndvi(days)[:, 0]
        closed = cover_share(surface)
        # A closed crop is more even than a thin one.
        rough = self.growth.of("texture")[:, 0] * (1.2 - 0.6 * closed)
        return blur((surface[self.labels] + rough[self.labels] * self.texture).clip(-0.4, 0.95))

    def reflectance(self, day: float) -> dict[str, Floats]:
        """Cloud-free reflectance per band at 10 m, without noise; B04 and B08 have exactly the drawn NDVI."""
        ndvi, days = self.ndvi(day), np.array([day])
        share = cover_share(ndvi)
        bright = blur(self.growth.brightness(days)[:, 0][self.labels] * (1 + self.soil * (1 - share)))
        flower = blur(self.growth.flowering(days)[:, 0][self.labels])
        water = blur(self.are("water").astype(np.float64))
        total = bright * (1 + 0.3 * flower) * (SOIL_SUM + (LEAF_SUM - SOIL_SUM) * share)
        bands = {name: bright * (SOIL[name] + (LEAF[name] - SOIL[name]) * share) for name in SOIL}
        added = {name: FLOWER[name] * flower + WATER[name] * water for name in SOIL}
        rest = {name: bands[name] + added[name] for name in SOIL}
        return rest | {"B04": total * (1 - ndvi) / 2, "B08": total * (1 + ndvi) / 2}

    def are(self, *names: str) -> NDArray[np.bool_]:
        """Mask of pixels that have one of these covers."""
        mask = np.array([cover.name in names for cover in self.growth.covers])
        return np.asarray(mask[self.labels])

    def backscatter(self, day: float, wet: float, rng: np.random.Generator) -> dict[str, Floats]:
        """VV and VH in linear power, speckle of 15 looks; `wet` is what rain adds to bare soil, in dB."""
        share = cover_share(self.ndvi(day))
        power = {}
        for name, bare in (("vv", -11.0), ("vh", -19.5)):
            full = self.growth.of(name)[:, 0][self.labels]
            # Water and houses do not become bare soil in winter.
            decibel = np.where(self.are("water", "built"), full, bare + wet + (full - bare - wet) * share)
            power[name] = 10 ** (decibel / 10) * rng.standard_gamma(15, share.shape) / 15
        return power

    def coherence(self, day: float, span: float, rng: np.random.Generator) -> dict[str, Floats]:
        """VV and VH coherence over `span` days, at 20 m; tillage and harvest in between destroy it."""
        share = cover_share(self.ndvi(day))
        level = 0.16 + 0.60 * (1 - share) ** 1.4
        tilled = self.growth.disturbed(np.array([day]), span)[:, 0] & (self.growth.of("harvest")[:, 0] > 0)
        lost = self.are("water", "forest") | tilled[self.labels]
        level = np.where(lost, 0.14, np.where(self.are("built"), 0.8, level))
        mean = halve(level)
        return {
            name: (factor * mean + rng.normal(0, 0.10, mean.shape) * (1 - mean**2)).clip(0.01, 0.99)
            for name, factor in (("vv", 1.0), ("vh", 0.85))
        }


def cover_share(ndvi: Floats) -> Floats:
    """Fractional green vegetation cover, 0 to 1."""
    return np.asarray(((ndvi - BARE) / (CLOSED - BARE)).clip(0, 1))


def blur(values: Floats) -> Floats:
    """Mix each pixel with a twentieth of its four neighbours."""
    padded = np.pad(values, 1, mode="edge")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return np.asarray(0.8 * values + 0.05 * around)


def halve(values: Floats) -> Floats:
    """Average 2 by 2 pixels: from the 10 m to the 20 m grid."""
    rows, columns = values.shape
    return np.asarray(values.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3)))


def smooth_noise(shape: tuple[int, int], length: float, rng: np.random.Generator) -> Floats:
    """Periodic random noise with a correlation length of `length` pixels, mean 0, standard deviation 1."""
    rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    damping = np.exp(-2 * (np.pi * length / 2) ** 2 * (rows**2 + columns**2))
    hills = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * damping, s=shape)
    return np.asarray((hills - hills.mean()) / hills.std())


def ground(growth: Growth, labels: NDArray[np.int64], rng: np.random.Generator) -> Ground:
    """Build the ground with texture: within fields, over soils, and from pixel to pixel."""
    shape = (labels.shape[0], labels.shape[1])
    texture = 0.85 * smooth_noise(shape, 7, rng) + 0.5 * rng.standard_normal(shape)
    soil = 0.07 * smooth_noise(shape, 45, rng) + 0.04 * smooth_noise(shape, 5, rng)
    # Roofs and gardens differ from pixel to pixel.
    built = np.array([cover.name == "built" for cover in growth.covers])[labels]
    soil = np.where(built, 0.3 * rng.standard_normal(shape), soil)
    return Ground(growth, labels, texture, soil.clip(-0.5, 0.8))


def sky(shape: tuple[int, int], cover: float, rng: np.random.Generator) -> Sky:
    """Draw clouds with their shadows over about the share `cover` of the image."""
    if cover <= 0:
        return Sky(np.zeros(shape), np.zeros(shape))
    size = shape[0]
    hills = smooth_noise(shape, size / 6, rng) + 0.5 * smooth_noise(shape, size / 22, rng)
    hills += 0.16 * smooth_noise(shape, 4, rng)
    edge = np.quantile(hills, 1 - cover)
    cloud = 0.97 * ((hills - edge) / 0.6).clip(0, 1)
    shift = tuple(round(part * size) for part in SHADOW_OFFSET)
    shadow = 0.62 * np.roll(cloud, shift, axis=(0, 1))
    return Sky(cloud, np.where(shadow > 0.12, shadow, 0))


def observed(bands: dict[str, Floats], above: Sky, rng: np.random.Generator) -> dict[str, Floats]:
    """Simulate observed reflectance per band on its own grid, with clouds, shadow and noise."""
    result = {}
    lit = 1 - above.shadow
    bright = 1 + 0.10 * smooth_noise(above.cloud.shape, 9, rng) if above.cloud.any() else 1.0
    for name, band in bands.items():
        mixed = band * lit * (1 - above.cloud) + CLOUD[name] * bright * above.cloud
        pixels = halve(mixed) if BANDS[name] == 20 else mixed
        result[name] = pixels + rng.standard_normal(pixels.shape) * (0.0008 + 0.008 * pixels)
    return result


def scene_classes(ndvi: Floats, above: Sky) -> NDArray[np.uint8]:
    """Scene classification (SCL) at 20 m: 3 shadow, 4 vegetation, 5 bare, 6 water, 8 and 9 cloud, 10 cirrus."""
    cloud, shadow, green = halve(above.cloud), halve(above.shadow), halve(ndvi)
    conditions = [cloud > 0.6, cloud > 0.25, cloud > 0, shadow > 0, green < 0, green > 0.4]
    return np.select(conditions, [9, 8, 10, 3, 6, 4], 5).astype(np.uint8)
