"""The adapter `dicom` of `lite-medsam prepare`: series with DICOM segmentations, nobody named."""

import contextlib
import csv
import hashlib
import hmac
import os
import secrets
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.cases.adapters.naming import case_names
from lite_medsam.cases.adapters.source import Item, ItemError, Listing, Options, Problem, Reading
from lite_medsam.errors import CaseError
from lite_medsam.jobs.prepare_volumes import case_of, scan_problems
from lite_medsam.prompts.label_volumes import dicom_seg_objects
from lite_medsam.scans.dicom import load_dicom_files
from lite_medsam.scans.dicom_fields import MODALITY
from lite_medsam.scans.dicom_files import one_line_errors, read_header
from lite_medsam.scans.dicom_study import Series, find_series, is_study, is_zip, study_files
from lite_medsam.scans.limits import voxels_in_memory
from lite_medsam.scans.scan import Scan
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.machine import cache_folder

_MAPPING = ("case", "patient_hash", "patient_id", "patient_name", "series_uid", "place")


class Adapter:
    """Every series of images below a folder as a volume or picture, with the DICOM segmentations that refer to it.

    The patient is the group, as a keyed hash; names, numbers, dates and paths stay where they are. The key is this user's, in the
    cache folder: the same patient has the same hash in every run here, and nobody else can try out which number it was.
    """

    name = "dicom"
    title = "DICOM series below a folder with the DICOM segmentations that refer to them; patients as hashes"
    tree = """\
RAW/**/ any DICOM files: CT, MR, PET, ... and SEG; or a ZIP of them, or a DICOMDIR with what it names"""
    options = frozenset({"dataset", "modality"})
    decision = ""

    def __init__(self, root: Path, options: Options):
        if options.group_regex is not None:
            raise CaseError(
                "group_regex is nothing for the adapter dicom: the group is the patient that the files name"
            )
        self.settings = options
        self._held = contextlib.ExitStack()  # what a ZIP was unpacked to lives as long as this
        self._found, self._others = self._held.enter_context(study_files(root))
        self.root = root if root.is_dir() else self._found[0].parent if is_zip(root) else root.parent
        self.people: list[dict[str, str]] = []
        self._key = _own_key()
        self._files: dict[str, Series] = {}

    @staticmethod
    def takes(root: Path) -> bool:
        """Whether it can be the input: a folder, a ZIP, a DICOMDIR."""
        return is_study(root)

    def find(self) -> Listing:
        files, others = self._found, self._others
        series, unread = find_series(files)
        if not any(s.is_image for s in series):
            raise CaseError(
                f"the input must look like\n{self.tree}\nfound no DICOM images among {len(files)} DICOM files"
            )
        problems = [self._unreadable(path) for path in unread]
        if others:
            problems.append(Problem("stray-file", "(several)", f"{others} files are not DICOM; passed over"))
        labels = self._segmentations(series)
        pictures = [s for s in series if s.is_image]
        shown = [self._hash("series", s.uid or str(s.files[0])) for s in pictures]
        people = [self._person(s) for s in pictures]
        modality = self.settings.modality
        items = []
        for s, code, (group, row) in zip(pictures, shown, people, strict=True):
            dataset, kind = self.settings.dataset or "dicom", modality or MODALITY.get(s.modality)
            name = case_names([f"{group}_{code}"], dataset, kind)[0]
            name = ("3D" if s.frames > 1 else "2D") + name.removeprefix("2D")
            label = f"series {code}"
            self.people.append({"case": name, "patient_hash": group, "series_uid": s.uid, **row})
            found = labels.pop(s.uid, [])
            if not found and not self.settings.unlabelled:
                problems.append(Problem("unlabelled-part", label, "no DICOM segmentation refers to it"))
                continue
            self._files[name] = s
            items.append(Item(name, s.files[0], tuple(found), s.files[1:], group=group, shown=label))
        for paths in labels.values():
            problems += [
                Problem("unpaired-mask", self._file(p), "the images that it refers to are not here") for p in paths
            ]
        for s in series:
            if not s.is_image and s.modality != "SEG":
                hint = "; export it as a DICOM segmentation" if s.modality == "RTSTRUCT" else ""
                text = f"{len(s.files)} files of {s.modality or 'no modality'} hold no images; passed over{hint}"
                problems.append(Problem("stray-file", f"series {self._hash('series', s.uid)}", text))
        return Listing(tuple(items), tuple(problems))

    def read(self, item: Item) -> Reading:
        shown = item.shown or "series"
        files = self._files[item.name].files
        try:
            scan = load_dicom_files(list(files), voxels_in_memory())
            label, names, problems = self._label(scan, item, shown)
            case = case_of(scan, label, item, names, self.settings.modality)
        except CaseError as error:
            text = str(error)
            for path in (*files, *item.labels):  # paths of clinics hold names
                for said in (str(path), str(path.parent), path.name):
                    text = text.replace(said, shown)
            raise ItemError(getattr(error, "kind", "unreadable"), text) from None
        return Reading(case, (*scan_problems(scan, shown), *problems))

    def write_mapping(self, path: Path) -> None:
        """Writes which hash is which patient and series: a table that belongs beside the originals, not beside the cases."""
        with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, _MAPPING)
            writer.writeheader()
            writer.writerows(self.people)
        path.chmod(0o600)

    def _label(self, scan: Scan, item: Item, shown: str) -> tuple[np.ndarray | None, dict[int, str], list[Problem]]:
        if not item.labels:
            return None, {}, []
        labels = np.zeros((*((1,) if not scan.is_volume else ()), *scan.label_shape), np.uint16)
        values: dict[str, int] = {}
        overlap = 0
        for path in item.labels:
            for found in dicom_seg_objects(path, labels.shape, scan.geometry, scan.dicom):
                name = found.name or f"segment {len(values) + 1}"
                value = values.setdefault(name, len(values) + 1)
                for z, mask in found.slices.items():
                    before = labels[z][mask]
                    overlap += int(np.count_nonzero((before != 0) & (before != value)))
                    labels[z][mask] = value
        problems = []
        if overlap:
            problems.append(
                Problem("overlapping-masks", shown, f"{overlap} voxels of several segments; the last has them")
            )
        return labels if scan.is_volume else labels[0], {v: n for n, v in values.items()}, problems

    def _segmentations(self, series: list[Series]) -> dict[str, list[Path]]:
        """The files of segmentations by the series that they refer to."""
        found = defaultdict(list)
        for path in (path for s in series if s.modality == "SEG" for path in s.files):
            with one_line_errors("segmentation"):
                refers = [
                    str(r.get("SeriesInstanceUID") or "")
                    for r in read_header(path).get("ReferencedSeriesSequence") or []
                ]
            for uid in refers or [""]:
                found[uid].append(path)
        return found

    def _person(self, series: Series) -> tuple[str, dict[str, str]]:
        """The patient's hash, and what the mapping says of it."""
        header = read_header(series.files[0])
        number, issuer = (str(header.get(key) or "").strip() for key in ("PatientID", "IssuerOfPatientID"))
        name, born = str(header.get("PatientName") or "").strip(), str(header.get("PatientBirthDate") or "")
        study = str(header.get("StudyInstanceUID") or series.uid)
        who: tuple[str, ...] = ("id", number, issuer) if number else ("name", name, born) if name else ("study", study)
        place = series.files[0].parent.relative_to(self.root).as_posix()
        return f"patient-{self._hash(*who)}", {"patient_id": number, "patient_name": name, "place": place}

    def _unreadable(self, path: Path) -> Problem:
        code = self._file(path)
        place = path.relative_to(self.root).as_posix()
        self.people.append(dict.fromkeys(_MAPPING, "") | {"case": code, "place": place})
        return Problem("unreadable", code, "no DICOM file, or damaged; --write-mapping says which it is")

    def _file(self, path: Path) -> str:
        return f"file {self._hash('file', path.relative_to(self.root).as_posix())}"

    def _hash(self, *texts: Any) -> str:
        return hmac.new(self._key, "\0".join(map(str, texts)).encode(), hashlib.sha256).hexdigest()[:12]


def _own_key() -> bytes:
    """This user's key for hashes of patients; made when it is first needed."""
    path = cache_folder() / "patient-key"
    try:
        key = path.read_bytes()
        if len(key) == 32:
            return key
    except FileNotFoundError:
        pass
    key = secrets.token_bytes(32)
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key)
    return key
