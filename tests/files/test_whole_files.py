"""Whatever is written for people or other tools appears whole or not at all: on a full disk, and when it is killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import whole_files
from foi_rules import files_of_at_most

from cbm_lake.errors import LakeError


@pytest.mark.slow
@pytest.mark.parametrize("writer", whole_files.WRITERS, ids=lambda writer: writer.__name__)
def test_on_a_full_disk_no_part_of_a_file_is_seen_and_what_was_there_stays(writer, tmp_path, workspace):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    writer(whole)
    expected = whole_files.seen(whole)
    assert max(expected.values()) > 20_000
    with files_of_at_most(20_000), pytest.raises((LakeError, OSError)):
        writer(cut)
    assert whole_files.seen(cut).items() <= expected.items()
    assert not [size for size in whole_files.seen(cut).values() if size > 20_000]
    assert not [path for path in cut.rglob(".*") if path.is_file()]


@pytest.mark.slow
def test_killed_at_any_moment_a_writer_leaves_whole_files(tmp_path):
    script = Path(whole_files.__file__)
    environment = {**os.environ, "CBM_LAKE_HOME": str(tmp_path / "home")}
    told = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=True, env=environment
    ).stdout.splitlines()
    assert len(told) == len(whole_files.WRITERS)
    assert [line for line in told if not line.endswith("wrong: []")] == []
