"""Answers from signatures: the statistics of parcels that extractions stored, where these are what is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.cards import STATISTICS
from cbm_lake.lake import Lake, queries
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.server.openeo.arithmetic import Floats
from cbm_lake.server.openeo.layers import Time, moments
from cbm_lake.server.openeo.plan import Aggregated, Output
from cbm_lake.server.openeo.series import Filling
from cbm_lake.zonal.compiled import Ints

Times: TypeAlias = "npt.NDArray[np.datetime64]"

FIRST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LAST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_COLUMNS: Final = {"mean": "mean", "min": "min", "max": "max", "sd": "std", "variance": "std", "sum": "mean"}
_QUANTILES: Final = {statistic.quantile: statistic.name for statistic in STATISTICS.values() if statistic.stored}


def why_not(aggregated: Aggregated) -> str:
    """Why signatures do not have what is asked for; "" where they may."""
    layer = aggregated.layer
    if not layer.is_plain or layer.time is not Time.SCENES:
        return "pixels are computed with"
    classes = [band for band in layer.bands if layer.card.is_classes(band)]
    if classes:
        return f"signatures have no statistics of {classes[0]}"
    lacking = [output.name for output in aggregated.outputs if _column(output) is None]
    return f"signatures have no {lacking[0]}" if lacking else ""


def fill(
    lake: Lake, aggregated: Aggregated, parcels: ParcelSet, ids: Sequence[str], is_all: bool, filling: Filling
) -> str:
    """Enter what signatures say of parcels; why they do not suffice, or "".

    Args:
        lake: whose signatures.
        aggregated: what is asked for; see `why_not`.
        parcels: their set.
        ids: of the parcels, ascending where they are all.
        is_all: whether they are all of the set.
        filling: where statistics are entered.
    """
    layer, outputs = aggregated.layer, aggregated.outputs
    names = dict.fromkeys(f"{band}_{_column(output)}" for band in layer.bands for output in outputs)
    counts = [f"{band}_count" for band in layer.bands]
    columns = ", ".join(f'"{name}"' for name in dict.fromkeys([*counts, *names]))
    limits = {"start": layer.start or FIRST, "stop": layer.end or LAST}
    some = {} if is_all else {"pids": list(ids)}
    statement = queries.get(f"openeo.signatures_{layer.card.name}").sql
    rows = lake.sql(
        f"select pid, obstime, scene, rule, {columns} from (\n{statement}\n){' where pid in $pids' if some else ''}",  # noqa: S608 - names of the card's
        **parcels.params,
        **limits,
        **some,
    )
    if not rows.num_rows:
        return "there are no signatures of that time"
    if pc.unique(rows["rule"]).to_pylist() != ["centre"]:
        return "their pixels were taken by another rule than that of the pixel's centre"
    if any(rows[name].null_count for name in counts):
        return "a band was not extracted from every scene"
    positions = pc.index_in(rows["pid"], pa.array(ids, pa.string()))
    if positions.null_count:
        return "there are signatures of parcels that are in the set no more"
    _enter(rows, positions.to_numpy(), aggregated, filling)
    return ""


def _enter(rows: pa.Table, positions: Ints, aggregated: Aggregated, filling: Filling) -> None:
    """Enter rows by the names of their scenes: of two with the same label and as many pixels the first counts."""
    scenes = rows["scene"].combine_chunks().dictionary_encode()
    codes = np.asarray(scenes.indices)
    times = rows["obstime"].to_numpy()
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(scenes.dictionary) + 1))
    bands = aggregated.layer.bands
    statistics = [_statistics(rows, band, aggregated.outputs) for band in bands]
    counts = [rows[f"{band}_count"].to_numpy().astype(np.float64) for band in bands]
    for code in np.argsort(np.asarray(scenes.dictionary.to_pylist(), object)):
        for selected in _by_time(order[bounds[code] : bounds[code + 1]], times):
            moment = times[selected[0]].astype("datetime64[us]").item().replace(tzinfo=UTC)
            label = next(moments([moment]))
            for number in range(len(bands)):
                filling.add(
                    label,
                    moment,
                    positions[selected],
                    number,
                    statistics[number][selected],
                    counts[number][selected],
                )


def _by_time(selected: Ints, times: Times) -> list[Ints]:
    """The rows of a scene by their timestamp, of which a scene has one, unless its catalogue entry changed."""
    moments_of = times[selected]
    if (moments_of == moments_of[0]).all():
        return [selected]
    return [selected[moments_of == moment] for moment in np.unique(moments_of)]


def _column(output: Output) -> str | None:
    """The statistic of signatures that an output is made of."""
    if output.probability is not None:
        return _QUANTILES.get(output.probability)
    return "count" if output.name == "count" else _COLUMNS.get(output.name)


def _statistics(rows: pa.Table, band: str, outputs: Sequence[Output]) -> Floats:
    """The outputs of a band, of shape (rows, outputs)."""
    counts = rows[f"{band}_count"].to_numpy().astype(np.float64)
    columns = [rows[f"{band}_{_column(output)}"].to_numpy().astype(np.float64) for output in outputs]
    return np.stack([derived(one, column, counts) for one, column in zip(outputs, columns, strict=True)], axis=1)


def derived(output: Output, values: Floats, counts: Floats) -> Floats:
    """An output from the statistic that it is made of, and the number of pixels: sd is of the sample, std is not."""
    if output.name in ("sd", "variance"):
        with np.errstate(all="ignore"):
            variance = np.where(counts > 1, values**2 * counts / (counts - 1), np.nan)
        return variance if output.name == "variance" else np.sqrt(variance)
    return values * counts if output.name == "sum" else values
