"""Small DICOM files and series for tests, with identifiers that must not come out again."""

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SERIES = generate_uid()
AXIAL = [1, 0, 0, 0, 1, 0]


def write(path, pixels, syntax=ExplicitVRLittleEndian, drop=(), **tags):
    """One DICOM file; `pixels` (H, W), (H, W, 3) or (F, H, W) decide the size tags, `tags` add or replace."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = syntax
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID, data.SeriesInstanceUID = (
        CTImageStorage,
        meta.MediaStorageSOPInstanceUID,
        SERIES,
    )
    data.PatientName, data.PatientID, data.InstitutionName = "Doe^Jane", "SECRET77", "St. Nowhere"
    data.Modality = "CT"
    colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    if pixels.ndim == 3 and not colour:
        data.NumberOfFrames = len(pixels)
    data.Rows, data.Columns = pixels.shape[:2] if colour or pixels.ndim == 2 else pixels.shape[1:]
    data.SamplesPerPixel, data.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        data.PlanarConfiguration = 0
    bits = pixels.dtype.itemsize * 8
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit, data.PixelRepresentation = bits - 1, int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes()
    for key, value in tags.items():
        setattr(data, key, value)
    for key in drop:
        delattr(data, key)
    data.save_as(path, enforce_file_format=True)
    return path


def write_series(folder, count=5, step=(0, 0, 2.5), axes=AXIAL, order=None, shape=(6, 7), **tags):
    """A series in shuffled file order; slice k holds 100 k + its pixel index."""
    folder.mkdir(exist_ok=True)
    order = order or [3, 0, 4, 1, 2][:count]
    for number, k in enumerate(order):
        pixels = (np.arange(np.prod(shape)).reshape(shape) + 100 * k).astype(np.int16)
        place = [float(v) for v in np.array([-10.0, -20, 30]) + np.array(step) * k]
        write(
            folder / f"IM{number:04d}.dcm", pixels,
            ImagePositionPatient=place, ImageOrientationPatient=axes, PixelSpacing=[0.7, 0.5], SliceThickness=9,
            InstanceNumber=number + 1, RescaleSlope=1, RescaleIntercept=-1024, **tags,
        )  # fmt: skip
    return folder
