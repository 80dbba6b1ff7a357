"""The report of the benchmark says what its figures say."""

import numpy as np
import pytest
import torch
from clip.model import VisionTransformer
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import photographs, planted, report


def rows(ours, peer, cosine=1.0):
    """A table of three contenders, each with its rate."""
    rates = {"clip, in batches": 10.0, "helpers": ours, "open_clip": peer}
    found = {name: {"per_second": [rate], "cosine": 1.0} for name, rate in rates.items()}
    found["open_clip"]["cosine"] = cosine
    return found


def machine(processor, **results):
    return {"machine": {"processor": processor}, **results}


def test_where_a_peer_is_faster_is_told_in_bold_beside_its_machine():
    quick = machine("Quick(R) One Processor", folders={"640 pixels": rows(30, 20)}, texts={"prompts": rows(15, 12)})
    slow = machine("Slow", folders={"640 pixels": rows(18, 20)})
    told = report.make_report([quick, slow], "the notes")
    assert "|  | Quick One | Slow |" in told
    assert "| 3.00 × clip, 1.50 × open_clip | 1.80 × clip, **0.90 ×** open_clip |" in told
    assert "| 1.50 × clip, 1.25 × open_clip | not measured |" in told
    assert told.endswith("the notes")


def test_a_contender_that_disagrees_with_plain_clip_is_void():
    table = rows(30, 99, cosine=0.9989)
    (void,) = (line for line in report.rates({"here": table}).splitlines() if "void" in line)
    assert void.startswith("| open_clip |")
    assert report.fastest_peer(table) == "clip, in batches"


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
