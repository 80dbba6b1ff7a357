"""The report of the benchmark says what its figures say."""

import json

import numpy as np
import pytest

from benchmarks import photographs, planted, report


@pytest.fixture(scope="module")
def results():
    return json.loads((report.HERE / "results.json").read_text())


def test_the_report_is_made_of_the_figures(results):
    notes = (report.HERE / "notes.md").read_text()
    assert (report.HERE / "results.md").read_text() == report.make_report(results, notes)


def test_every_contender_agrees_with_plain_clip(results):
    tables = [*results["folders"].values(), *results["texts"].values()]
    tables += [results["forward"][precision]["rows"] for precision in ("float32", "bfloat16")]
    assert all(row["cosine"] > 0.999 for table in tables for row in table.values())
    assert all(table["helpers, exact=True"]["cosine"] > 0.99999 for table in results["folders"].values())


def test_a_contender_that_disagrees_is_void(results):
    rows = json.loads(json.dumps(results["texts"]["prompts"]))
    assert "void" not in report.rates(rows, "texts/s")
    rows["open_clip"]["cosine"] = 0.9989
    assert [line for line in report.rates(rows, "texts/s").splitlines() if "void" in line][0].startswith(
        "| open_clip |"
    )


def test_a_missed_mark_is_told(results):
    slow = json.loads(json.dumps(results))
    slow["import"] = [0.4]
    assert "| 0.40 | ≤ 0.3 | **no** |" in report.make_report(slow, "")


def test_photographs_differ_and_cost_what_photographs_cost(tmp_path):
    paths = photographs.write_photographs(tmp_path, (640, 480), 21)
    contents = {path.read_bytes() for path in paths}
    assert len(contents) == 21
    bits = 8 * sum(map(len, contents)) / 21 / (640 * 480)
    assert 1 < bits < 6  # per pixel, at JPEG quality 90


@pytest.mark.parametrize("quarter", range(4))
def test_a_planted_thing_lies_in_the_quarter_that_counts_as_a_hit(quarter):
    ink = np.asarray(planted.plant(["cat"], [quarter], "white")).min(axis=2) < 250
    assert ink.any()
    assert not ink[~planted.inside(planted.SIDE, quarter)].any()
    assert [planted.inside(rows, quarter).mean() for rows in (2, 8)] == [0.25, 0.25]
    assert sum(planted.inside(7, quarter) for quarter in range(4)).tolist() == [[1] * 7] * 7
