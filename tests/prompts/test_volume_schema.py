"""The JSON Schema of volumes' prompt files says what the reader says."""

import json

import pytest
from places import ROOT

from lite_medsam.errors import PromptError
from lite_medsam.prompts.volume_prompt_set import read_volume_prompts

GOOD = [
    {"objects": [{"name": "a", "z_range": [1, 4], "bounds": [0, 0, 9, 9], "slices": [{"z": 2, "box": [1, 2, 3, 4]}]}]},
    {"coordinates": "voxel", "axis": "i", "objects": [{"slices": [{"z": 2, "line": [[1, 2], [3, 4]]}]}]},
    {"coordinates": "display", "objects": [{"box": [1, 2, 3, 4, 5, 6], "target": "liver"}]},
    {"coordinates": "lps_mm", "objects": [{"line": [[1, 2, 3], [4, 5, 3]], "points": [[1, 2, 3.5, 0]]}]},
    {
        "coordinates": "ras_mm",
        "axis": "k",
        "objects": [{"points": [[1, 2, 3, 1]], "name": "b"}, {"box": [6, 5, 4, 3, 2, 1]}],
    },
]
BAD = [
    {"coordinates": "mm", "objects": []},
    {"coordinates": "display", "axis": "i", "objects": []},
    {"axis": "x", "objects": []},
    {"objects": [{"slices": []}]},
    {"objects": [{"slices": [{"z": 2}]}]},
    {"objects": [{"slices": [{"z": 2, "box": [1, 2, 3, 4], "line": [[1, 2], [3, 4]]}]}]},
    {"objects": [{"slices": [{"z": 2, "final": True, "box": [1, 2, 3, 4]}]}]},
    {"objects": [{"box": [1, 2, 3, 4]}]},
    {"objects": [{"box": [1, 2, 3, 4, 5, 6], "points": [[1, 2, 3, 1]]}]},
    {"objects": [{"points": []}]},
    {"objects": [{"points": [[1, 2, 3, 2]]}]},
    {"objects": [{"line": [[1, 2], [3, 4]]}]},
    {"objects": [{"name": "", "points": [[1, 2, 3, 1]]}]},
]


@pytest.mark.parametrize("said", [*GOOD, *BAD])
def test_schema_and_reader_agree(said, tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    document = {"version": 1, "volume": True, **said}
    (tmp_path / "p.json").write_text(json.dumps(document))
    schema = json.loads((ROOT / "prompts" / "volume-prompt-set.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(document) == (said in GOOD)
    if said in GOOD:
        assert len(read_volume_prompts(tmp_path / "p.json", "voxel")[0]) == len(said["objects"])
    else:
        with pytest.raises(PromptError):
            read_volume_prompts(tmp_path / "p.json", "voxel")
