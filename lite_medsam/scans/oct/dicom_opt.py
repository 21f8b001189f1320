"""What DICOM says of an OCT scan beside its pixels: eye, device, day, where the scale comes from; and Zeiss's own DICOM."""

from dataclasses import replace

from lite_medsam.errors import CaseError
from lite_medsam.scans.dicom_fields import functional
from lite_medsam.scans.oct.vendor import day, eye_side
from lite_medsam.scans.scale import OCT_AXES, Step
from lite_medsam.scans.scan import Scan
from lite_medsam.storage.one_line import one_line

_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
_JPEG_2000_STARTS = (b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP")
_RAW_DATA = "1.2.840.10008.5.1.4.1.1.66"
_DATES = ("AcquisitionDateTime", "AcquisitionDate", "ContentDate", "SeriesDate", "StudyDate")


def with_opt_facts(scan: Scan, dataset) -> Scan:
    """A DICOM scan of an eye with its side, device, day and the origin of its scale; others as they are."""
    if scan.modality != "OCT":
        return scan
    if scan.spacing_mm is None:
        sizes: tuple = (None,) * len(scan.label_shape)
    else:
        sizes = (*(None,) * len(scan.label_shape), *scan.spacing_mm)[-len(scan.label_shape) :]
    in_plane = _where(dataset, "PixelSpacing") or "pixel size of the detector"
    bases = (_distance_from(dataset), in_plane, in_plane)[-len(sizes) :]
    scale = tuple(
        Step(name, basis=f"no {basis}") if mm is None else Step(name, 1000 * mm, "file", basis)
        for name, mm, basis in zip(OCT_AXES[-len(sizes) :], sizes, bases, strict=True)
    )
    anatomy = functional(dataset, 0, "FrameAnatomySequence")
    sides = (dataset.get("ImageLaterality"), dataset.get("Laterality"), anatomy and anatomy.get("FrameLaterality"))
    maker = " ".join(str(dataset.get(key) or "").strip() for key in ("Manufacturer", "ManufacturerModelName")).strip()
    return replace(
        scan,
        scale=scale,
        laterality=next((side for side in map(eye_side, sides) if side), None),
        device=one_line(maker, 80) if maker else None,
        visit_date=next((found for found in (day(dataset.get(key)) for key in _DATES) if found), None),
    )


def refuse_zeiss(dataset) -> None:
    """Refuses what only Zeiss's software reads: raw objects without pixels, and JPEG 2000 that is scrambled.

    Raises:
        CaseError: If it is such a file; says what to export instead.
    """
    if not str(dataset.get("Manufacturer") or "").strip().lower().startswith(("carl zeiss", "zeiss")):
        return
    if str(dataset.get("SOPClassUID") or "") == _RAW_DATA and "PixelData" not in dataset:
        raise CaseError(
            "is raw data of Zeiss, a DICOM file without pixels that only its software reads; export Cirrus .img, "
            "or DICOM OPT from FORUM"
        )
    syntax = str(getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", ""))
    if syntax in _JPEG_2000 and "PixelData" in dataset:
        # offset table first, then the first fragment: 8 bytes of item header each
        data = bytes(dataset.PixelData[:4])
        table = int.from_bytes(dataset.PixelData[4:8], "little") if data == b"\xfe\xff\x00\xe0" else 0
        start = bytes(dataset.PixelData[8 + table + 8 : 8 + table + 8 + 12])
        if not start.startswith(_JPEG_2000_STARTS):
            raise CaseError(
                "its pictures are JPEG 2000 that Zeiss has scrambled, and no open reader unscrambles them; export "
                "Cirrus .img, or unscrambled DICOM from FORUM"
            )


def _distance_from(dataset) -> str:
    if _where(dataset, "ImagePositionPatient", "PlanePositionSequence"):
        return "ImagePositionPatient"
    return next((key for key in ("SpacingBetweenSlices", "SliceThickness") if _where(dataset, key)), "slice distance")


def _where(dataset, keyword: str, sequence: str = "PixelMeasuresSequence") -> str | None:
    item = functional(dataset, 0, sequence)
    return keyword if dataset.get(keyword) or (item is not None and item.get(keyword)) else None
