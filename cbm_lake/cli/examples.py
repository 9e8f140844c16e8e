"""An example of each command, which its help ends with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import typer
from typer.models import CommandInfo

_OF: Final = "--aoi ms --year 2024"
_OF_PARCEL: Final = f"{_OF} --pid 000123"
_SCENE: Final = "S2A_MSIL2A_20240502T104021_N0510_R008_T31TEJ_20240502T151515"

EXAMPLES: Final = {
    "app": "--port 8866",
    "backup": "/backup/lake --deep",
    "card2db creodias": "--url answer.json --start 2024-03-01 --end 2024-10-31",
    "card2db files": '"s1/S1_{date}_{band}.tif" --card bs --unit db',
    "card2db geoparquet": "items.parquet",
    "card2db items": "items.ndjson",
    "card2db products": "/eodata/2024/05",
    "card2db safe": "/eodata/2024/05",
    "card2db stac": "earth-search --aoi ms --start 2024-03-01 --end 2024-10-31",
    "cases answer": '3f2a9c --note "mown on 3 July" --photo field.jpg',
    "cases close": "3f2a9c --outcome conforming",
    "cases history": "3f2a9c",
    "cases judge": f'000123 confirmed {_OF} --scenario "grassland is mown" --note "mown twice"',
    "cases judgements": f"{_OF} --format csv",
    "cases list": f"{_OF} --status answered",
    "cases notify": "3f2a9c 77b01e --to notices.gpkg --answer-by 2027-09-01",
    "cases open": f'{_OF} --scenario "grassland is mown"',
    "cases photo": "3f2a9c field.jpg",
    "cases reopen": '3f2a9c --note "another photo was handed in"',
    "cases reschedule": '3f2a9c --answer-by 2027-10-01 --note "asked for more time"',
    "cases verify": "3f2a9c",
    "cases withdraw": f'000123 {_OF} --scenario "grassland is mown" --note "looked at the wrong parcel"',
    "changes": f"{_OF} --since 2024-06-01",
    "check": "--deep",
    "compact": "s2",
    "crops check": f"{_OF} --alpha 5%",
    "crops days": _OF,
    "crops list": f"{_OF} --verdict disagrees --to doubtful.gpkg",
    "crops runs": _OF,
    "crops show": f"{_OF} check.png",
    "crops signals": "FOIinfo.csv --series tsdir --statistics p50",
    "crops verify": _OF,
    "demo": "demo",
    "estimate": "--parcels 1000000 --scenes 73 --bands 8 --workers 16",
    "export cube": "s2 ms.nc --aoi ms --resolution 20",
    "export rows": '"select pid, crop_name, geometry from parcels" parcels.gpkg',
    "extract bs": f"--start 2024-03-01 --end 2024-10-31 {_OF}",
    "extract c6": f"--start 2024-03-01 --end 2024-10-31 {_OF}",
    "extract ls": f"--start 2024-03-01 --end 2024-10-31 {_OF}",
    "extract s2": f"--start 2024-03-01 --end 2024-10-31 {_OF} --workers 4",
    "foi thematic": f"{_OF} --folder foi",
    "foi v1": "--parcels parcels.shp --raster crops.tif --classes classes.yml --area-threshold 2000",
    "foi v2": "--parcels parcels.shp --raster crops.tif --classes classes.yml --min 30 --max 70",
    "get background": f"{_OF_PARCEL} --tms sentinel",
    "get chips": f"{_OF_PARCEL} --start 2024-05-01 --end 2024-05-31 --bands B08,B04",
    "get delete": f"{_OF_PARCEL} --yes",
    "get notes": f'{_OF_PARCEL} --write "mown twice, seen on site 3 June"',
    "get parcel-info": _OF_PARCEL,
    "get peers": f"{_OF_PARCEL} --distance 1000 --max 10",
    "get time-series": f"{_OF_PARCEL} --band B04 --format csv",
    "get weather": _OF_PARCEL,
    "guard check": _OF,
    "guard clear": f'{_SCENE} --reason "looked at it: snow"',
    "guard list": "",
    "guard shift-errors": _OF,
    "guard shifts": _OF,
    "init": "",
    "markers evidence": f'{_OF_PARCEL} --scenario "grassland is mown"',
    "markers find": _OF,
    "markers lights": f'{_OF} --scenario "grassland is mown" --colour red',
    "markers looks": _OF,
    "markers parts": f"{_OF_PARCEL} --figure parts.png",
    "markers phenology": _OF_PARCEL,
    "migrate": "--aoi ms --year 2020 --parcels parcels_2020.gpkg --pid id --signatures sigs_2020.csv",
    "parcels codes": "",
    "parcels describe": f"dem.tif --as elevation {_OF}",
    "parcels lineage": "ms 2023 2024 --format csv",
    "parcels load": f"parcels.gpkg {_OF} --pid parcel_id --crop-name crop",
    "qa counts": "ms2024",
    "qa inspect": 'ms2024 000123 nonconforming --note "half of it is forest"',
    "qa sample": "--parcel_file parcels.csv --target_file targets.csv --extraction_id ms2024",
    "qa validate": "--input-file claims.csv --table-type ua --interventions-file inter.csv",
    "qa verdicts": "ms2024 --format csv",
    "qa workflow": f"{_OF} --parcels parcels.gpkg --pid parcel_id --scenes products/",
    "report batch": f"@pids.txt {_OF} --folder reports",
    "report chain": "reports/ --key agency.pub --register register.jsonl",
    "report keys list": "",
    "report keys make": "",
    "report keys show": "",
    "report notebook": "analysis.ipynb --no-code --pdf",
    "report parcel": f"{_OF_PARCEL} --folder reports",
    "report slides": f"{_OF} 000123 000124 --out meeting.pptx",
    "report verify": "report_ms_2024_000123.pdf --key agency.pub",
    "run": "season.yaml --watch 6h",
    "runs": "--format json",
    "scenes leave-out": f'{_SCENE} --why "the file is lost at the provider"',
    "scenes list": "--card s2 --start 2024-05-01 --end 2024-05-31",
    "scenes put-back": '"*_T31TEJ_202405*" --why "it was another tile"',
    "serve": "--host 127.0.0.1 --port 8000",
    "show background": f"{_OF_PARCEL} --tms google --tms sentinel --out photo.png",
    "show calendar": f"{_OF_PARCEL} --out calendar.png",
    "show chips": f"{_OF_PARCEL} --start 2024-03-01 --end 2024-06-30 --bands ndvi --out chips.png",
    "show crop-check": f"{_OF_PARCEL} --out crop.png",
    "show parcel-info": f"{_OF_PARCEL} --out card.svg",
    "show time-series": f"{_OF_PARCEL} --kind ndvi --out ndvi.png",
    "show years": f"{_OF_PARCEL} --years 2022,2023,2024 --out years.png",
    "sql": '"select aoi, year, crop_name, count(*) as parcels from parcels group by all"',
    "status": "--format json",
    "user access": "--since 2024-03-01 --aoi ms",
    "user add": "eve --aoi ms",
    "user grant": "eve --aoi nl",
    "user list": "",
    "user remove": "eve",
    "user revoke": "eve --aoi nl",
    "user share": "ada --url https://lake.example.org --days 90",
    "user token": "eve",
    "vacuum": "--days 90",
    "weather": "era5.nc --aoi ms",
    "worklist cases": f"{_OF} --where \"status = 'answered'\"",
    "worklist sample": f"ms2024 {_OF} --where 'decision is null'",
    "worklist season": f"{_OF} --where 'area_ha > 2 and decision is null' --since visit --to todo.gpkg",
    "years fallow": "ms 2024",
    "years grassland": "ms 2024 --to grassland.csv",
    "years landuse": "ms 2024 --map map.png --to candidates.gpkg",
    "years reference": "ms 2024 --areas reference --to beyond.gpkg",
    "years rotation": "ms 2024 --years 3 --to rotation.gpkg",
    "years sensitive": "ms 2024 --areas natura",
}
"""What follows the words of each command."""


def add(program: typer.Typer) -> None:
    """Put the examples into the help of the commands of a program."""
    for words, command in _commands(program, ()):
        if words in EXAMPLES:
            command.epilog = f"\b\nExample:\n  cbm-lake {words} {EXAMPLES[words]}".rstrip()


def _commands(program: typer.Typer, words: tuple[str, ...]) -> Iterator[tuple[str, CommandInfo]]:
    """Every command of a program, with its words."""
    for command in program.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        yield " ".join((*words, name)), command
    for group in program.registered_groups:
        if group.typer_instance is not None:
            yield from _commands(group.typer_instance, (*words, group.name) if isinstance(group.name, str) else words)
