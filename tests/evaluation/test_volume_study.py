"""The study of volumes: its simulated user and its table."""

import numpy as np
import pytest

from lite_medsam.cases.case import Case, save_case
from lite_medsam.evaluation.volume_study import WAYS, main, simulated_objects


def case():
    label = np.zeros((9, 40, 40), np.uint8)
    label[2:7, 10:20, 10:30] = 1
    label[6, 10:20, 10:15] = 0
    label[0, 0, 0] = 2  # too small
    image = np.where(label == 1, 200, 40).astype(np.uint8)
    return Case(image, label=label, name="3D_CT_block", modality="CT", is_volume=True)


def test_what_the_user_says():
    for way in WAYS:
        values, (item,) = simulated_objects(case(), way)
        assert values == [1] and list(item.prompts) == ([2, 3, 4, 5, 6] if way == "box per slice" else [4])
        x0, y0, x1, y1 = item.prompts[4].box
        assert 9 <= x0 <= 10 and 29 <= x1 <= 30 and 9.5 <= y0 <= 10 and 19 <= y1 <= 19.5
        assert item.z_range == (None if way == "slice box" else (2, 6))
        assert item.bounds == (item.prompts[4].box if way == "3D box" else None)


def test_the_table(tmp_path, capsys):
    save_case(tmp_path / "3D_CT_block.npz", case())
    main([str(tmp_path / "3D_CT_block.npz")])
    header, row, memory = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["modality", "objects"]
    name, count, *scores, milliseconds = row.split()
    assert (name, count) == ("CT", "1") and len(scores) == 4 and all(float(score) > 0.6 for score in scores)
    assert float(milliseconds) > 0 and memory.startswith("most memory: ")
    with pytest.raises(SystemExit, match="usage"):
        main([])
