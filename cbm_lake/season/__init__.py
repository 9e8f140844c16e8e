"""The season night by night: one file says what is done, one run does it; what changed since the last night.

run               one night by season.yaml
watch             night after night
read              the file of a season, checked
last_run          what the last run did, from the journal
changes           changes of lights, markers and scenes
record            compute and record what changed
"""

from cbm_lake.season.file import Season, read
from cbm_lake.season.journal import last_run
from cbm_lake.season.recording import changes, record
from cbm_lake.season.running import Night, Watcher, run, watch

__all__ = ["Night", "Season", "Watcher", "changes", "last_run", "read", "record", "run", "watch"]
