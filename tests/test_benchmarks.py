"""The report of the benchmark says what its figures say."""

import json

import numpy as np
import pytest
import torch
from clip.model import VisionTransformer
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import photographs, planted, report


@pytest.fixture(scope="module")
def machines():
    return report.read_figures()


def test_the_report_is_made_of_the_figures(machines):
    notes = (report.HERE / "notes.md").read_text()
    scale = json.loads((report.HERE / "scale.json").read_text())
    assert (report.HERE / "results.md").read_text() == report.make_report(machines, scale, notes)
    assert f"{scale['encode']['images']:,} drawings" in report.describe_scale(scale)


def test_every_contender_agrees_with_plain_clip(machines):
    for results in machines:
        tables = [*results["folders"].values(), *results["texts"].values()]
        tables += [found["rows"] for found in results["forward"].values() if isinstance(found, dict)]
        assert all(row["cosine"] > 0.999 for table in tables for row in table.values())
        assert all(table["helpers, exact=True"]["cosine"] > 0.99999 for table in results["folders"].values())


def test_a_contender_that_disagrees_is_void(machines):
    rows = json.loads(json.dumps(machines[0]["texts"]["prompts"]))
    assert "void" not in report.rates({"here": rows}, "texts/s")
    rows["open_clip"]["cosine"] = 0.9989
    (void,) = (line for line in report.rates({"here": rows}, "texts/s").splitlines() if "void" in line)
    assert void.startswith("| open_clip |")


def test_a_missed_mark_is_told_beside_its_machine(machines):
    quick, slow = (json.loads(json.dumps(machines[0])) for _ in range(2))
    quick["machine"] |= {"processor": "Quick(R) One Processor"}
    slow["machine"] |= {"processor": "Slow"}
    quick["import"], slow["import"] = [0.1], [0.4]
    slow["forward"].pop("bfloat16")
    told = report.make_report([quick, slow], json.loads((report.HERE / "scale.json").read_text()), "")
    assert "| ≤ 0.3 | 0.10 | **0.40** |" in told
    assert "Not measured on Slow: the processor lacks it." in told
    assert "|  | Quick One | Slow |" in told


def test_operations_are_those_that_torch_counts():
    visual = VisionTransformer(64, 16, 128, 3, 2, 96)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        visual(torch.zeros(1, 3, 64, 64))
    assert report.count_operations(visual) == counter.get_total_flops()


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
