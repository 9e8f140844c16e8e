"""The guards: scenes whose reflectance offset or geolocation is wrong, by their pixels rather than their metadata."""

from __future__ import annotations

from cbm_lake.guard.geolocation import shift_errors, shifts
from cbm_lake.guard.offsets import OFFSET, Finding, clear, judged, scenes, suspects

__all__ = ["OFFSET", "Finding", "clear", "judged", "scenes", "shift_errors", "shifts", "suspects"]
