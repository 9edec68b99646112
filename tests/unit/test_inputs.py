"""What a command was pointed at is found once each, and what cannot be read says why."""

import os

import pytest

from headrace.cli.inputs import inputs_of, read
from headrace.cli.terminal import clean
from headrace.errors import NotFound, TooLarge, Unreadable


def test_a_folder_gives_all_files_below_in_the_order_of_their_names_and_no_hidden_ones(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("c.txt", "a.txt", "b/d.txt", ".hidden"):
        (tmp_path / name).write_text("x")

    names = [os.path.relpath(each.name, tmp_path) for each in inputs_of([str(tmp_path)])]

    assert names == ["a.txt", "c.txt", "b/d.txt"]


def test_a_file_that_is_named_twice_is_read_once(tmp_path):
    (tmp_path / "a.txt").write_text("x")

    assert len(inputs_of([str(tmp_path), str(tmp_path / "a.txt"), str(tmp_path / "*.txt")])) == 1


def test_a_loop_of_links_is_walked_once(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")

    found = {os.path.relpath(each.name, tmp_path): each.problem for each in inputs_of([str(tmp_path)])}

    assert found.pop("a.txt") is None
    assert all(isinstance(problem, Unreadable) for problem in found.values())


@pytest.mark.parametrize("name", ["missing.pdf", "none/*.pdf"])
def test_what_is_not_there_is_a_problem_with_a_remedy(tmp_path, name):
    (only,) = inputs_of([str(tmp_path / name)])

    assert isinstance(only.problem, NotFound)
    assert only.problem.remedy


def test_an_empty_folder_is_a_problem(tmp_path):
    (only,) = inputs_of([str(tmp_path)])

    assert "holds no files" in str(only.problem)


def test_a_pipe_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    (only,) = inputs_of([str(tmp_path / "pipe")])

    assert "a pipe" in str(only.problem)


def test_a_file_over_the_limit_is_refused_with_both_figures(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"x" * 11)
    (only,) = inputs_of([str(tmp_path / "a.txt")])

    with pytest.raises(TooLarge, match=r"11.*10"):
        read(only, limit_bytes=10)


def test_a_name_that_is_no_text_becomes_text(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.txt")).write_text("x")
    (only,) = inputs_of([str(tmp_path)])

    assert read(only, limit_bytes=10).filename == "\ufffd.txt"


def test_what_steers_a_terminal_is_taken_out():
    assert clean("a\x1b[31mb\nc\u202e") == "a\ufffd[31mb c\ufffd"
