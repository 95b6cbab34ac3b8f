"""1,000 sets of each format at random: no object under a wrong class, no undeclared negative, no image without a row."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import fuzzed_sets
import pytest

COUNT = int(os.environ.get("TESSERA_FUZZ_SETS", "1000"))
# For each format, what imports the set of a seed in a folder, and returns what went wrong.
FORMATS: dict[str, Callable[[str, int, Path], fuzzed_sets.Faults]] = dict.fromkeys(
    fuzzed_sets.FORMATS, fuzzed_sets.import_fuzzed
)


@pytest.mark.parametrize("layout", FORMATS)
def test_nothing_that_is_lost_makes_a_negative_or_a_wrong_object(tmp_path: Path, layout: str) -> None:
    faults = []
    for seed in range(COUNT):
        folder = tmp_path / str(seed)
        folder.mkdir()
        faults.append(FORMATS[layout](layout, seed, folder))
        shutil.rmtree(folder)
    undeclared, wrong, lost, rowless = (
        [fault for each in faults for fault in getattr(each, name)]
        for name in ("undeclared_negatives", "wrong_objects", "lost_objects", "without_row")
    )
    used, unused = sum(each.used for each in faults), [fault for each in faults for fault in each.unused]
    refused = [each.refused for each in faults if each.refused]
    print(
        f"\n{layout}: {COUNT} sets, {used} images used; {len(undeclared)} undeclared negatives, {len(wrong)} wrong objects,"
        f" {len(lost)} images with a lost object, {len(rowless)} images without a row; {len(unused)} right images not used,"
        f" {len(refused)} sets refused"
    )
    assert [undeclared[:3], wrong[:3], lost[:3], rowless[:3]] == [[]] * 4
    assert used > COUNT
