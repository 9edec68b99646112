"""The folder of a guarded worker."""

import os
from pathlib import Path

import pytest

from headrace.serving.runtimes.cell import PREFIX, Cell, sweep_cells


@pytest.fixture
def cell(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = Cell()
    yield made
    made.remove()


def test_a_tidied_cell_is_empty_and_still_there(cell):
    home = Path(cell.path)
    (home / "folder").mkdir()
    (home / "folder" / "file").write_text("x")
    (home / "link").symlink_to("/etc/passwd")

    cell.tidy()

    assert list(home.iterdir()) == []


def test_a_tidied_cell_does_not_follow_a_link_out_of_it(cell, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (Path(cell.path) / "link").symlink_to(outside, target_is_directory=True)

    cell.tidy()

    assert (outside / "precious").exists()


def test_a_removed_cell_may_be_removed_again(cell):
    cell.remove()
    cell.remove()

    assert not Path(cell.path).exists()


def test_a_cell_that_is_held_is_not_swept(cell, tmp_path):
    assert sweep_cells(tmp_path, older_than_s=0) == 0
    assert Path(cell.path).exists()


def test_a_cell_that_nobody_holds_is_swept_when_it_is_old(tmp_path):
    (tmp_path / f"{PREFIX}left").mkdir()
    (tmp_path / "other").mkdir()
    os.utime(tmp_path / f"{PREFIX}left", (0, 0))

    assert sweep_cells(tmp_path) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["other"]


def test_a_young_cell_is_not_swept(tmp_path):
    (tmp_path / f"{PREFIX}young").mkdir()

    assert sweep_cells(tmp_path) == 0
