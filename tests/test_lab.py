"""Learning happens in a copy: what the reader changed is kept, what he did not change follows the course."""

import pytest

from notebooks.lab import copy_lessons
from tests.conftest import ROOT


@pytest.fixture
def folders(tmp_path):
    course = tmp_path / "notebooks"
    course.mkdir()
    for name in ("00-a.ipynb", "01-b.ipynb"):
        (course / name).write_text(f"{name}, first version")
    (course / "refresh.py").write_text("no lesson")
    return course, tmp_path / "learning"


def texts(folder):
    return {file.name: file.read_text() for file in folder.glob("*.ipynb")}


def test_lessons_are_copied_and_follow_the_course_until_they_are_changed(folders):
    course, learning = folders
    assert copy_lessons(*folders) == []
    assert texts(learning) == texts(course)
    (learning / "01-b.ipynb").write_text("mine")
    for name in texts(course):
        (course / name).write_text(f"{name}, second version")
    assert copy_lessons(*folders) == ["01-b.ipynb"]
    assert texts(learning) == {"00-a.ipynb": "00-a.ipynb, second version", "01-b.ipynb": "mine"}


def test_a_changed_lesson_is_silently_kept_while_the_course_is_the_same(folders):
    copy_lessons(*folders)
    (folders[1] / "00-a.ipynb").write_text("mine")
    assert copy_lessons(*folders) == []
    assert texts(folders[1])["00-a.ipynb"] == "mine"


def test_a_deleted_copy_comes_back(folders):
    copy_lessons(*folders)
    (folders[1] / "00-a.ipynb").unlink()
    assert copy_lessons(*folders) == []
    assert texts(folders[1]) == texts(folders[0])


def test_git_ignores_the_copy():
    assert "/learning" in (ROOT / ".gitignore").read_text().splitlines()
