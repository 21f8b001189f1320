"""Objects said in space, not on slices: in voxels of a file or in mm of the patient."""

from dataclasses import dataclass, field, replace

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.prompts.diameter_lines import prompt_of_line
from lite_medsam.prompts.prompt_object import MAX_NAME, Prompt
from lite_medsam.prompts.volume_objects import VolumeObject, seeds_from_boxes
from lite_medsam.scans.geometry import Geometry
from lite_medsam.storage.strict_json import Checker

# right, anterior, superior as NIfTI has it; left, posterior, superior as DICOM and ITK have it
MM = ("lps_mm", "ras_mm")
_MAX_POINTS = 10_000  # per object
_MAX_COORDINATE = 1e9


@dataclass(frozen=True, eq=False)
class SpatialObject:
    """One object of a volume, in coordinates that no slice is needed for.

    Attributes:
        box: (6,) two opposite corners, the middles of the first and the last voxel; its sides lie along the file's axes,
            whatever way those lie in the patient. None where points say where it is.
        points: (K, 3).
        point_labels: (K,) 1 on the object, 0 on the background.
        line: (2, 3) both ends of the longest diameter; None without.
        name: What the object is called.
        target: What it is, as `Prompt.target`.
    """

    box: np.ndarray | None = None
    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    point_labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    line: np.ndarray | None = None
    name: str | None = None
    target: str | None = None

    def placed(self, coordinates: str, geometry: Geometry) -> VolumeObject:
        """The object on the slices of a volume, in display coordinates.

        Args:
            coordinates: What its numbers count: "voxel", "display" or one of `MM`.
            geometry: Of the volume, cut as it is to be shown to the model.

        Raises:
            PromptError: If a line does not lie in one slice.
        """
        if self.box is not None:
            corners = _display(self.box, coordinates, geometry)
            box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
            return replace(seeds_from_boxes(box[None], [self.name])[0], target=self.target)
        points = _display(self.points, coordinates, geometry)
        slices = np.floor(points[:, 2] + 0.5).astype(int)
        prompts = {z: self._prompt(points[slices == z, :2], self.point_labels[slices == z]) for z in {*slices.tolist()}}
        if self.line is not None:
            ends = _display(self.line, coordinates, geometry)
            if abs(ends[0, 2] - ends[1, 2]) > 1.01:
                apart = abs(ends[0, 2] - ends[1, 2])
                raise PromptError(
                    f"a line must lie in one slice, its ends are {apart:.1f} slices apart; name another axis"
                )
            z = int(np.floor(ends[:, 2].mean() + 0.5))
            box, more = prompt_of_line(ends[:, :2])
            old = prompts.get(z, Prompt(name=self.name))
            xy = np.concatenate([old.points, more])
            labels = np.concatenate([old.point_labels, np.ones(len(more), np.int64)])
            prompts[z] = Prompt(box=box, points=xy, point_labels=labels, name=self.name)
        return VolumeObject(dict(sorted(prompts.items())), self.name, target=self.target)

    def _prompt(self, xy: np.ndarray, labels: np.ndarray) -> Prompt:
        return Prompt(points=xy, point_labels=labels, name=self.name)


def spatial_from_json(check: Checker, item, place: str) -> SpatialObject:
    """An object of a parsed prompt file.

    Raises:
        PromptError: If it is not valid; the message says the place.
    """
    item = check.mapping(item, place, (), ("box", "points", "line", "name", "target"))
    name, target = (check.text(item[k], f"{place}.{k}", MAX_NAME) if k in item else None for k in ("name", "target"))
    if "box" in item:
        if item.keys() & {"points", "line"}:
            raise check.fail(place, "have a 3D box, or points and a line, not both")
        return SpatialObject(np.array(_row(check, item["box"], f"{place}.box", 6)), name=name, target=target)
    points = check.array(item.get("points", []), f"{place}.points", maximum=_MAX_POINTS)
    rows = np.array([_row(check, row, f"{place}.points[{k}]", 4) for k, row in enumerate(points)]).reshape(-1, 4)
    if not np.isin(rows[:, 3], (0, 1)).all():
        raise check.fail(f"{place}.points", "end in 1 (object) or 0 (background)")
    line = None
    if "line" in item:
        ends = check.array(item["line"], f"{place}.line", 2)
        line = np.array([_row(check, end, f"{place}.line[{k}]", 3) for k, end in enumerate(ends)])
        if (line[0] == line[1]).all():
            raise check.fail(f"{place}.line", "have two different ends")
    if line is None and not len(rows):
        raise check.fail(f"{place}.points", "have one point at least")
    return SpatialObject(None, rows[:, :3], rows[:, 3].astype(np.int64), line, name, target)


def _row(check: Checker, values, place: str, length: int) -> list[float]:
    values = check.array(values, place, length)
    return [check.number(v, f"{place}[{k}]", -_MAX_COORDINATE, _MAX_COORDINATE) for k, v in enumerate(values)]


def _display(places: np.ndarray, coordinates: str, geometry: Geometry) -> np.ndarray:
    """(K, 3) x, y, z as displayed."""
    places = np.asarray(places, np.float64).reshape(-1, 3)
    if coordinates == "display":
        return places
    if coordinates in MM:
        ras = places * (-1, -1, 1) if coordinates == "lps_mm" else places
        back = np.linalg.inv(geometry.affine)
        # (a millionth of a voxel is what the way back through floats may cost)
        places = np.round(ras @ back[:3, :3].T + back[:3, 3], 6)
    return geometry.to_display(places)
