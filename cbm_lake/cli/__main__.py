"""python -m cbm_lake.cli."""

from cbm_lake.cli import main

main()
