"""What each number means and where its definition comes from; the report and docs/quantities.md show the same texts."""

DEFINITIONS: dict[str, tuple[str, str]] = {
    "fluid area": ("Pixels of fluid on a B-scan times the area of a pixel.", "RETOUCH (Bogunović 2019)"),
    "fluid volume": (
        "Voxels of fluid times the volume of a voxel; 1 nL = 10^6 um3 = 0.001 mm3. Near the fovea: each A-scan counts with the "
        "share of its cell that lies within the circle. Circles are named by their diameter.",
        "RETOUCH (Bogunović 2019); HAWK and HARBOR analyses (Schmidt-Erfurth 2020)",
    ),
    "fluid pockets": ("Connected pieces: voxels that touch by a face, an edge or a corner.", "common practice"),
    "largest pocket": ("The largest of these pieces.", "common practice"),
    "fluid height at the fovea": (
        "Pixels of fluid in the A-scan nearest to the fovea times the depth of a pixel.",
        "FLUID trial (Guymer 2019) for subretinal fluid",
    ),
    "central subfield thickness": (
        "Mean thickness over the circle of 1 mm about the fovea, between the two surfaces that are "
        "named: devices differ in the outer one.",
        "ETDRS report 10 (1991); Chan 2006",
    ),
    "retinal thickness": (
        "Mean depth from the inner to the outer surface, over the scan or a field of the ETDRS grid (circles of "
        "1, 3 and 6 mm, quadrants divided at the diagonals).",
        "ETDRS report 10 (1991)",
    ),
    "thickness at the fovea": ("The same in the A-scan nearest to the fovea (centre point thickness).", "Chan 2006"),
    "layer thickness": ("Mean depth from the top to the bottom of the labelled layer.", "as above"),
    "choroid vascularity index": (
        "Luminal area / total area of the choroid: of the whole scan, and in a window under the fovea whose width and sides are "
        "said. Without a label of the lumen: dark pixels by Niblack's local threshold.",
        "Agrawal 2016 (doi 10.1038/srep21090); window: PMC8543393",
    ),
    "total choroidal area": ("Area of the choroid in that window.", "Agrawal 2016"),
    "luminal area": ("Area of its lumen in that window.", "Agrawal 2016"),
    "cRORA lesions on B-scans": (
        "Runs of A-scans with hypertransmission and RPE loss, each of 250 um or more without a gap, overlapping; with the loss of "
        "photoreceptors where that is labelled.",
        "CAM report 3 (Sadda 2018)",
    ),
    "iRORA lesions on B-scans": ("Overlaps that miss the rule of 250 um.", "CAM report 4 (Guymer 2020)"),
    "B-scans with cRORA": ("B-scans with one such lesion or more.", "CAM report 3"),
    "longest cRORA": ("The longest overlap of a complete lesion along a B-scan.", "CAM report 3"),
    "cRORA extent": ("Sum of the overlaps of complete lesions on the B-scan.", "CAM report 3"),
    "cRORA of 500 um or more": ("Complete lesions whose overlap is that long.", "PMC10772812"),
    "cRORA area": ("A-scans in the overlap of complete lesions times the area of a cell.", "CAM report 3"),
    "GA area": (
        "A-scans (or pixels of a fundus picture) labelled as geographic atrophy times their area.",
        "Yehoshua 2011",
    ),
    "GA square root": (
        "Square root of that area; growth is its slope over the visits, in mm per year.",
        "Yehoshua 2011; Feuer 2013",
    ),
    "EZ loss area": (
        "A-scans in which nothing lies between ellipsoid zone and RPE, times the area of a cell.",
        "Itoh 2016",
    ),
    "EZ loss share": ("The same as a share of the A-scans that were measured.", "Itoh 2016"),
    "EZ loss extent": ("The same along a single B-scan.", "Itoh 2016"),
    "DRIL extent": (
        "Length along the B-scan within 0.5 mm of the fovea in which the boundaries of GCL+IPL, INL and OPL are not to be told.",
        "Sun 2014",
    ),
    "cup-disc ratio, vertical": (
        "Height of the cup / height of the disc, from first to last row.",
        "Jonas 1988; REFUGE (Orlando 2020)",
    ),
    "cup-disc ratio, horizontal": ("Width of the cup / width of the disc.", "Jonas 1988"),
    "cup-disc ratio, area": ("Area of the cup / area of the disc, which holds the cup.", "Jonas 1988"),
    "area": ("Pixels times the area of a pixel.", "common practice"),
    "lesion area": ("Pixels of the lesion times the area of a pixel.", "common practice"),
    "lesions": ("Connected pieces, corners count.", "common practice"),
    "lesion share": ("Pixels of the lesion / pixels of the field.", "common practice"),
    "distance to the fovea": (
        "From the fovea to the nearest pixel of the lesion, or to the middle of the disc.",
        "ETDRS (1985) for macular oedema",
    ),
}
