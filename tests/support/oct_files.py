"""OCT files of each layout that can be written, from a volume and its scale in um: B-scans, depth, A-scans.

Written by the published layout: .vol (in the package), XML, .img, MetaImage, MATLAB, DICOM OPT, TIFF, pictures. Written by what
OCT-Converter's own structures say: .fda, .fds, Bioptigen, Optovue. No writer: .e2e.
"""

import struct
import zlib

import cv2
import numpy as np

PATIENT = "Mustermann"


def write_xml(folder, volume, um):
    """A Heyex XML export: exam.xml, a picture per B-scan, slo.png; with a patient in it."""
    folder.mkdir(parents=True, exist_ok=True)
    width = volume.shape[2]
    between, axial, lateral = (size / 1000 for size in um)
    context = "<OphthalmicAcquisitionContext>{}</OphthalmicAcquisitionContext>"
    cv2.imwrite(str(folder / "slo.png"), np.full((50, 60), 90, np.uint8))
    size = "<Width>{}</Width><Height>{}</Height><ScaleX>{}</ScaleX><ScaleY>{}</ScaleY>"
    images = [
        "<Image><ImageType><Type>LOCALIZER</Type></ImageType>"
        + context.format(size.format(60, 50, 0.011, 0.011) + "<Angle>30</Angle><Focus>1.0</Focus>")
        + r"<ImageData><ExamURL>C:\data\slo.png</ExamURL></ImageData></Image>"
    ]
    for k, b_scan in enumerate(volume):
        cv2.imwrite(str(folder / f"b{k:03d}.png"), b_scan)
        place = "<Start><Coord><X>0</X><Y>{0}</Y></Coord></Start><End><Coord><X>{1}</X><Y>{0}</Y></Coord></End>".format(
            k * between, (width - 1) * lateral
        )
        line = " ".join(["10.0"] * (width - 1) + ["3.4028235E38"])
        images.append(
            "<Image><ImageType><Type>OCT</Type></ImageType>"
            + context.format(
                size.format(width, volume.shape[1], lateral, axial) + place + "<ImageQuality>30</ImageQuality>"
            )
            + rf"<ImageData><ExamURL>C:\data\b{k:03d}.png</ExamURL></ImageData>"
            + f"<Segmentation><NumSegmentations>1</NumSegmentations><SegLine><Name>ILM</Name><Array>{line}</Array></SegLine>"
            "</Segmentation></Image>"
        )
    date = "<Date><Year>2026</Year><Month>3</Month><Day>4</Day></Date>"
    text = (
        "<?xml version='1.0'?>\n<HEDX><BODY><SWVersion><Version>1</Version></SWVersion>"
        f"<Patient><ID>1</ID><LastName>{PATIENT}</LastName><FirstNames>Erika</FirstNames><PatientID>77</PatientID>"
        f"<Birthdate>{date}</Birthdate><Study><StudyDate>{date}</StudyDate><Series><ID>2</ID><Laterality>L</Laterality>"
        f"<ReferenceSeries><ID>3</ID><ExamDate>{date}</ExamDate></ReferenceSeries>{''.join(images)}</Series></Study></Patient>"
        "</BODY></HEDX>"
    )
    (folder / "exam.xml").write_text(text, encoding="utf-8")
    return folder / "exam.xml"


def write_img(path, volume):
    """A Cirrus cube: A-scans fastest, depth and A-scans backwards."""
    path.write_bytes(np.ascontiguousarray(volume[:, ::-1, ::-1]).tobytes())
    return path


def write_mhd(path, volume, um, packed=False):
    """A MetaImage with its raw file beside it."""
    kind = {"uint8": "MET_UCHAR", "uint16": "MET_USHORT", "int16": "MET_SHORT", "float32": "MET_FLOAT"}[
        str(volume.dtype)
    ]
    data = np.ascontiguousarray(volume).tobytes()
    raw = path.with_suffix(".zraw" if packed else ".raw")
    raw.write_bytes(zlib.compress(data) if packed else data)
    sizes, spacing = volume.shape[::-1], [size / 1000 for size in um[::-1]]
    path.write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"CompressedData = {packed}\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\n"
        f"ElementSpacing = {' '.join(map(str, spacing))}\nDimSize = {' '.join(map(str, sizes))}\n"
        f"ElementType = {kind}\nElementDataFile = {raw.name}\n",
        encoding="ascii",
    )
    return path


def write_opt(path, volume, um, **tags):
    """An enhanced DICOM OPT file with the scale in the shared functional groups."""
    from dicom_files import write
    from pydicom.dataset import Dataset

    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing, measures.SpacingBetweenSlices = [um[1] / 1000, um[2] / 1000], um[0] / 1000
    shared.PixelMeasuresSequence = [measures]
    known = {
        "ImageLaterality": "R",
        "Manufacturer": "Maker",
        "ManufacturerModelName": "Model 3",
        "StudyDate": "20260304",
    }
    return write(
        path, volume, Modality="OPT", SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.5.4",
        SharedFunctionalGroupsSequence=[shared], **(known | tags),
    )  # fmt: skip


def write_dme(path, volume, fluid=None, layers=None):
    """Duke's DME layout: images, manualFluid1 and 2 as instances, manualLayers1 and 2, (rows, A-scans, B-scans)."""
    from scipy import io

    depth, _, width = volume.shape
    layers = np.full((8, width, depth), np.nan) if layers is None else layers
    fluid = np.zeros_like(volume, np.float64) if fluid is None else fluid.astype(np.float64)
    turned = np.moveaxis(fluid, 0, -1)
    arrays = {"images": np.moveaxis(volume, 0, -1), "manualFluid1": turned, "manualFluid2": turned}
    io.savemat(path, arrays | {"manualLayers1": layers, "manualLayers2": layers, "automaticFluidDME": turned})
    return path


def write_amd(path, volume, layer_maps):
    """Duke's AMD layout: images (rows, A-scans, B-scans), layerMaps (B-scans, A-scans, 3), Age."""
    from scipy import io

    io.savemat(path, {"images": np.moveaxis(volume, 0, -1), "layerMaps": layer_maps, "Age": np.array([[70]])})
    return path


def _chunk(name: bytes, data: bytes) -> bytes:
    return bytes([len(name)]) + name + struct.pack("<I", len(data)) + data


def write_topcon(path, volume, um):
    """A .fda or .fds file with motion-corrected 16-bit B-scans, scan parameters, capture and device information."""
    depth, height, width = volume.shape
    data = volume.astype("<u2").tobytes()
    extent = (um[2] * width / 1000, um[0] * depth / 1000, um[1])
    head = struct.pack("<BIIIIBI", 2, width, height, 16, depth, 0, len(data))
    name = b"@IMG_SCAN_03" if path.suffix == ".fds" else b"@IMG_MOT_COMP_03"
    capture = struct.pack("<BBI100s6H", 1, 2, 5, b"", 2026, 3, 4, 10, 11, 12)
    device = struct.pack("<16s16s16s16s16s10H", b"3DOCT-2000", b"SN1", b"", b"", b"", *[1] * 10)
    scan = struct.pack("<3I5dBB", 0, 0, 0, *extent, 0.0, 0.0, 0, 0)
    chunks = _chunk(name, head + data) + _chunk(b"@PARAM_SCAN_04", scan)
    chunks += _chunk(b"@CAPTURE_INFO_02", capture) + _chunk(b"@HW_INFO_03", device)
    path.write_bytes(
        b"FOCT" + (b"FDS" if path.suffix == ".fds" else b"FDA") + struct.pack("<II", 1, 1) + chunks + b"\0"
    )
    return path


def write_bioptigen(path, volume, um):
    """A rectangular Bioptigen scan of 16-bit frames."""
    depth, height, width = volume.shape

    def field(key: bytes, value: bytes) -> bytes:
        return struct.pack("<I", len(key)) + key + struct.pack("<I", len(value)) + value

    def number(key: str, value: int) -> bytes:
        return field(key.encode(), struct.pack("<I", value))

    def real(key: str, value: float) -> bytes:
        return field(key.encode(), struct.pack("<d", value))

    head = struct.pack("<IH", 0x7856_3412, 2) + struct.pack("<I", 11) + b"FRAMEHEADER" + struct.pack("<I", 0)
    head += b"".join(
        [number("FRAMECOUNT", depth), number("LINECOUNT", width), number("LINELENGTH", height), number("SAMPLEFORMAT", 2),
         field(b"DESCRIPTION", b"phantom"), real("XMIN", 0), real("XMAX", 1), field(b"XCAPTION", b"x"), real("YMIN", 0),
         real("YMAX", 1), field(b"YCAPTION", b"y"), number("SCANTYPE", 1), real("SCANDEPTH", um[1] * height / 1000),
         real("SCANLENGTH", um[2] * width / 1000), real("AZSCANLENGTH", um[2] * width / 1000),
         real("ELSCANLENGTH", um[0] * depth / 1000), real("OBJECTDISTANCE", 0), real("SCANANGLE", 0), number("SCANS", depth),
         number("FRAMES", 1), number("DOPPLERFLAG", 0), field(b"CONFIG", b"none"), struct.pack("<I", 0)]
    )  # fmt: skip
    frames = []
    for b_scan in volume:
        data = np.ascontiguousarray(b_scan.T).astype("<u2").tobytes()
        when = struct.pack("<8H", 2026, 3, 3, 4, 10, 11, 12, 0)
        frame = struct.pack("<I", 9) + b"FRAMEDATA" + struct.pack("<I", 0) + field(b"FRAMEDATETIME", when)
        frame += real("FRAMETIMESTAMP", 0) + number("FRAMELINES", width)
        frame += struct.pack("<I", 12) + b"FRAMESAMPLES" + struct.pack("<I", len(data)) + data + struct.pack("<I", 0)
        frames.append(frame)
    path.write_bytes(head + b"".join(frames))
    return path


def write_optovue(path, volume):
    """An Optovue file and its text, which also has the widths of a video picture, that are not those of the B-scans."""
    depth, height, width = volume.shape
    path.write_bytes(np.rot90(volume.astype("<f4"), -1, axes=(1, 2)).tobytes())
    path.with_suffix(".txt").write_text(
        f"Eye Scanned = OS\nWindow Height = {height}\nScan Length = {width}\nScan Usage = {depth}\n"
        "Video Height=480\nVideo Width=640\nPhysical video width=12.0 mm\nPhysical video Height=9.0 mm\n",
        encoding="ascii",
    )
    return path


def write_tiff(path, volume, um=None):
    """Pages of a TIFF, with ImageJ's scale where one is given."""
    import tifffile

    if um is None:
        tifffile.imwrite(path, volume, photometric="minisblack")
    else:
        tifffile.imwrite(
            path,
            volume,
            imagej=True,
            resolution=(1 / um[2], 1 / um[1]),
            metadata={"spacing": um[0], "unit": "um", "axes": "ZYX"},
        )
    return path


def write_folder(folder, volume):
    """A picture per B-scan, b1.png to b12.png: names whose order as text is not that of their numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, b_scan in enumerate(volume, 1):
        cv2.imwrite(str(folder / f"b{k}.png"), b_scan)
    return folder


def _e2e_floats(values: np.ndarray) -> bytes:
    """Values of 0 up to below 2 as floats of .e2e: 10 bits of mantissa, 6 of exponent, no sign."""
    codes = np.arange(2**16, dtype=np.uint32)
    bits = sum(((codes >> k) & 1) << (9 - k) for k in range(10))
    table = (1 + bits / 1024) * np.exp2((codes >> 10).astype(float) - 63)
    order = np.argsort(table)
    nearest = np.searchsorted(table[order], values.ravel()).clip(0, 2**16 - 1)
    return order[nearest].astype("<u2").tobytes()


def write_e2e(path, volume, degrees=20.0, between_degrees=0.4, scale_y_mm=0.00387, structure="Retina"):
    """One series of B-scans with its places in degrees, the eye, the examined structure, an SLO picture and a patient."""
    count, height, width = volume.shape
    grey = np.exp(volume.astype(np.float64) / 255 * 8.285 - 8.3) - 2.44e-4
    text = structure.encode("utf-16-le")
    parts = [
        (9, -1, 0, struct.pack("<31s66sI1s25s", b"Erika", PATIENT.encode(), 0, b"F", b"4711")),
        (11, -1, 0, b"\0" * 14 + b"R" + b"\0" * 12),
        (9005, -1, 0, struct.pack("<II256s", 1, 256, text)),
        (1073741824, -1, 0, struct.pack("<5I", 50 * 60, 33620481, 50 * 60, 50, 60) + b"\x5a" * 3000),
    ]
    for k in range(count):
        y = (k - count / 2) * between_degrees
        ticks = 134_000_000_000_000_000
        meta = struct.pack("<3I4fIf f f I 2f I I I I I 2f I Q I f f", 0, height, width, -degrees / 2, y, degrees / 2, y, 0, 0.0,
                           scale_y_mm, 0.0, 0, 0.0, 0.0, 0, width, count, k, 3, 0.0, y, 0, ticks, 1, 0.9, 0.0)  # fmt: skip
        parts.append((10004, 2 * k, 0, meta.ljust(428, b"\0")))
        picture = struct.pack("<5I", 2 * height * width, 35652097, height * width, height, width) + _e2e_floats(grey[k])
        parts.append((1073741824, 2 * k, 1, picture))
    chunk, folders, data = 88, b"", b""
    start = chunk + 52 + 44 * len(parts)
    for number, (kind, piece, ind, content) in enumerate(parts):
        here, ids = start + len(data), (1, 2, 3, piece)
        folders += struct.pack("<4I4iHHII", chunk + 52 + 44 * number, here, len(content), 0, *ids, ind, 0, kind, 0)
        data += (
            struct.pack("<12s5I4iHHII", b"MDbData", 0, here, here + 60, len(content), 0, *ids, ind, 0, kind, 0)
            + content
        )
    head = b"".join([
        struct.pack("<12sI20s", b"CMDb", 100, b""), struct.pack("<12sI20s4I", b"MDbMDir", 100, b"", len(parts), 36, chunk, 0),
        struct.pack("<12sI20s4I", b"MDbDir", 100, b"", len(parts), chunk, 0, 0),
    ])  # fmt: skip
    path.write_bytes(head + folders + data)
    return path
