"""The season night by night: what changed since the last night.

changes           changes of lights, markers and scenes
record            compute and record what changed
"""

from cbm_lake.season.recording import changes, record

__all__ = ["changes", "record"]
