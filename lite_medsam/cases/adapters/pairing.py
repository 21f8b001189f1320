"""Which mask belongs to which image: by folder, by prefix and suffix, or by a pattern."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from lite_medsam.cases.adapters.layouts import (
    bare_stems,
    folder_kind,
    nnunet_channel,
    place_of,
    unread_layout,
    without_channel,
)
from lite_medsam.cases.adapters.naming import captured, natural, relative
from lite_medsam.cases.adapters.source import Options, Problem
from lite_medsam.errors import CaseError
from lite_medsam.images.reading import IMAGE_SUFFIXES

# pictures and volumes of kinds that this adapter does not read, and what operating systems leave behind
OTHER_PICTURES = {
    ".jp2",
    ".j2k",
    ".heic",
    ".avif",
    ".svg",
    ".psd",
    ".dcm",
    ".nii",
    ".mha",
    ".mhd",
    ".nrrd",
    ".mat",
}
LITTER = {"__MACOSX", "Thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Pair:
    """An image and its masks (several when each object has a file of its own; none when it has no label).

    Attributes:
        image: The image file.
        masks: Its masks.
        channels: Further files of the same image, one for each channel (nnU-Net).
        by_folder: Whether the masks belong to it because it is the only image of its folder, as in DSB 2018.
    """

    image: Path
    masks: tuple[Path, ...]
    channels: tuple[Path, ...] = ()
    by_folder: bool = False


def image_files(root: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES) -> list[Path]:
    """All files below a folder with one of these suffixes, in natural order; hidden files and folders are left out."""
    wanted = {suffix.lower() for suffix in suffixes}
    files = [p for p in root.rglob("*") if p.suffix.lower() in wanted and p.is_file()]
    files = [p for p in files if not any(part.startswith(".") or part in LITTER for part in p.relative_to(root).parts)]
    return sorted(files, key=lambda p: natural(p.relative_to(root).as_posix()))


def pair_files(
    root: Path, options: Options, mask_suffixes: Iterable[str] = IMAGE_SUFFIXES
) -> tuple[list[Pair], list[Problem]]:
    """Pairs the images below a root with their masks.

    A mask is a file in `options.masks`, in a folder whose name says mask (`layouts.folder_kind`), or one whose name has
    the prefix and suffix that are asked for; without any of these, one whose name is an image's and a usual ending
    (`_mask`, `_mask_1`, `_segmentation`, `_gt` ...). Everything else is an image (with `options.images`, only what lies
    there). A pair shares the key that the patterns capture (or the stem without prefix and suffix) and the folders
    above, without what says image or mask; where the folders differ, a key that is unique on both sides will do. An image
    alone in its folder has the masks of that folder, whatever their names. nnU-Net's channels (NAME_0000) are one image.

    Args:
        root: The data set's folder.
        options: The pairing rules in it.
        mask_suffixes: Kinds of files that can be masks.

    Returns:
        The images in natural order, with their masks; and masks that belong to no image, masks without an image's
        key, and images whose key another image has too.

    Raises:
        CaseError: If a folder that is asked for does not exist, or there is no image at all.
    """
    mask_root = _folder(root, options.masks, "masks")
    image_root = _folder(root, options.images, "images")
    has_rule = bool(mask_root or options.mask_prefix or options.mask_suffix or options.mask_regex)
    masks = [p for p in image_files(mask_root or root, mask_suffixes) if _is_mask(p, root, mask_root, options)]
    if not masks and not has_rule:
        masks = _usually_named(image_files(root, mask_suffixes))
    taken = set(masks)
    images = [p for p in image_files(image_root or root) if p not in taken]
    if mask_root is not None and mask_root != (image_root or root):
        images = [p for p in images if not p.is_relative_to(mask_root)]
    elif mask_root is None:
        images = [p for p in images if _folder_kind(p, root) != "mask"]
    if not images:
        if not masks and (seems := unread_layout(root)):
            raise CaseError(f"{root} {seems}")
        raise CaseError(
            f"{root} must hold images ({', '.join(IMAGE_SUFFIXES)}), found none beside {len(masks)} masks; "
            "say where they are with --images and --masks"
        )
    image_keys = {p: (_place(p, image_root or root), _image_id(p, options)) for p in images}
    ids = {key[1] for key in image_keys.values()}
    mask_keys = {p: (_place(p, mask_root or root), _mask_id(p, options, ids, has_rule)) for p in masks}
    channels = _channels(image_keys, options)
    further = {p for files in channels.values() for p in files}
    passed = _extras(root, [p for p in images if p not in further], ids, options)
    extra = further | {p for p, _ in passed}
    pairs, problems = _matched(root, {p: key for p, key in image_keys.items() if p not in extra}, mask_keys)
    pairs = [replace(pair, channels=channels.get(pair.image, ())) for pair in pairs]
    problems += [problem for _, problem in passed]
    problems += _passed_over(root, {image_root or root, mask_root or root}, {*images, *masks}, set(mask_suffixes))
    return pairs, problems


def drawings_beside(root: Path, pairs: list[Pair]) -> tuple[list[Pair], list[Problem]]:
    """Adds Labelme's JSON to the images that have no mask: beside them, or in a folder whose name says mask.

    Returns:
        The pairs; and JSON files of images that have a mask, which counts.
    """
    by_stem: dict[tuple, list[Path]] = defaultdict(list)
    for path in image_files(root, (".json",)):
        by_stem[_place(path, root), path.stem].append(path)
    found, problems = [], []
    for pair in pairs:
        place = _place(pair.image, root) if pair.image.is_relative_to(root) else ()
        beside = pair.image.with_suffix(".json")
        drawings = by_stem.get((place, pair.image.stem), [])
        drawings = [path for path in drawings if path == beside or _folder_kind(path, root) == "mask"]
        if drawings and not pair.masks:
            pair = replace(pair, masks=tuple(drawings[:1]))
            drawings = drawings[1:]
        found.append(pair)
        for path in drawings:
            problems.append(Problem("stray-file", relative(path, root), "its image has another label; passed over"))
    return found, problems


def _channels(image_keys: dict, options: Options) -> dict[Path, tuple[Path, ...]]:
    """The further channels of each image that nnU-Net's names begin with: NAME_0001, ... beside NAME_0000."""
    together: dict[tuple, list[Path]] = defaultdict(list)
    for path, key in image_keys.items():
        if options.image_regex is None and nnunet_channel(path) is not None:
            together[path.parent, path.suffix.lower(), key].append(path)
    return {files[0]: tuple(files[1:]) for files in together.values() if len(files) > 1}


def _extras(root: Path, images: list[Path], ids: set[str], options: Options) -> list[tuple[Path, Problem]]:
    """Pictures that go with an image and are none themselves: ISIC's superpixels, channels that the pattern leaves out."""
    found = []
    for path in images:
        stem, _, word = path.stem.rpartition("_")
        message = None
        if word.lower() in ("superpixels", "superpixel") and stem in ids:
            message = "superpixels of an image; passed over"
        elif (
            options.image_regex
            and nnunet_channel(path) is not None
            and not captured(options.image_regex, path.stem, "id")
        ):
            message = "a channel that --image-regex leaves out; passed over"
        if message:
            found.append((path, Problem("stray-file", relative(path, root), message)))
    return found


def _passed_over(root: Path, places: set[Path], taken: set[Path], mask_suffixes: set[str]) -> list[Problem]:
    """Visible files that are neither an image nor a mask: nothing is left out without a word."""
    problems = []
    files = {p for place in places for p in place.rglob("*") if p.is_file() and p not in taken}
    for path in sorted(p for p in files if p.is_relative_to(root)):
        parts = path.relative_to(root).parts
        if any(part.startswith(".") or part in LITTER for part in parts):
            continue
        if path.suffix.lower() in OTHER_PICTURES or path.name.lower().endswith(".nii.gz"):
            message = f"is of a kind that is not read; convert it to one of {', '.join(IMAGE_SUFFIXES)}"
            problems.append(Problem("unsupported", relative(path, root), message))
        elif path.suffix.lower() in mask_suffixes and _folder_kind(path, root) == "mask":
            message = "lies among the masks, but its name is not that of a mask (prefix, suffix); passed over"
            problems.append(Problem("stray-file", relative(path, root), message))
        elif path.suffix.lower() not in IMAGE_SUFFIXES:
            problems.append(Problem("stray-file", relative(path, root), "no image; passed over"))
    return problems


def _folder(root: Path, given: str | None, what: str) -> Path | None:
    if given is None:
        return None
    folder = root / given
    if not folder.is_dir():
        raise CaseError(f"--{what} must be a folder below {root} or an absolute path, got {given}")
    return folder


def _folder_kind(path: Path, root: Path) -> str | None:
    """Whether the nearest folder with a telling name says "image" or "mask"."""
    if not path.is_relative_to(root):
        return None
    kinds = (folder_kind(folder) for folder in reversed(path.relative_to(root).parts[:-1]))
    return next((kind for kind in kinds if kind), None)


def _is_mask(path: Path, root: Path, mask_root: Path | None, options: Options) -> bool:
    prefix, suffix, stem = options.mask_prefix.lower(), options.mask_suffix.lower(), path.stem.lower()
    if not (stem.startswith(prefix) and stem.endswith(suffix) and len(stem) > len(prefix + suffix)):
        return False
    if mask_root is not None:
        return True
    kind = _folder_kind(path, root)
    if kind is not None:
        return kind == "mask"
    if options.mask_regex is not None:
        return captured(options.mask_regex, path.stem, "id") is not None
    return bool(prefix or suffix)


def _usually_named(files: list[Path]) -> list[Path]:
    stems = Counter(p.stem for p in files)
    places = {(p.parent, p.stem) for p in files}
    # beside the image, or in a folder whose name says nothing if only one image is called so
    return [p for p in files if any((p.parent, s) in places or stems[s] == 1 for s in bare_stems(p.stem))]


def _place(path: Path, root: Path) -> tuple[str, ...]:
    return place_of(path.relative_to(root).parts[:-1])


def _lower(key: tuple[tuple[str, ...], str]) -> tuple:
    return tuple(part.lower() for part in key[0]), key[1].lower()


def _image_id(path: Path, options: Options) -> str:
    if options.image_regex is None:
        return path.stem if nnunet_channel(path) is None else without_channel(path.stem)
    return captured(options.image_regex, path.stem, "id") or path.stem


def _mask_id(path: Path, options: Options, image_ids: set[str], has_rule: bool) -> str | None:
    stem = path.stem
    if options.mask_regex:
        return captured(options.mask_regex, stem, "id")
    stem = stem[len(options.mask_prefix) : len(stem) - len(options.mask_suffix)]  # whatever their case
    if stem not in image_ids and not has_rule:  # images/a.jpg with masks/a_mask.png
        stem = next((bare for bare in bare_stems(stem) if bare in image_ids), stem)
    return stem


def _matched(root: Path, image_keys: dict, mask_keys: dict) -> tuple[list[Pair], list[Problem]]:
    problems = []
    exact = set(image_keys.values())
    by_key: dict[tuple, list[Path]] = defaultdict(list)
    by_lower: dict[tuple, set[tuple]] = defaultdict(set)
    by_id: dict[str, set[tuple]] = defaultdict(set)
    for mask, key in mask_keys.items():
        if key[1] is None:
            problems.append(Problem("unpaired-mask", relative(mask, root), "the pattern finds no key in its name"))
            continue
        by_key[key].append(mask)
        if key not in exact:  # otherwise it is that image's, and nobody else's
            by_lower[_lower(key)].add(key)
            by_id[key[1]].add(key)
    counts, id_counts = Counter(image_keys.values()), Counter(key[1] for key in image_keys.values())
    alone = Counter(key[0] for key in image_keys.values())
    in_place: dict[tuple[str, ...], set[tuple]] = defaultdict(set)
    for key in by_key:
        if key not in exact:
            in_place[key[0]].add(key)
    used, pairs = set(), []
    for image, key in image_keys.items():
        used.add(key)
        if counts[key] > 1:
            problems.append(Problem("name-clash", relative(image, root), f"{counts[key]} images share this name"))
            continue
        if key not in by_key and len(by_lower[_lower(key)]) == 1:
            key = next(iter(by_lower[_lower(key)]))
        elif key not in by_key and len(by_id[key[1]]) == 1 and id_counts[key[1]] == 1:
            key = next(iter(by_id[key[1]]))
        elif key not in by_key and key[0] and alone[key[0]] == 1 and in_place[key[0]]:
            used |= in_place[key[0]]
            masks = sorted(
                (p for other in in_place[key[0]] for p in by_key[other]), key=lambda p: natural(p.as_posix())
            )
            pairs.append(Pair(image, tuple(masks), by_folder=True))
            continue
        used.add(key)
        pairs.append(Pair(image, tuple(by_key.get(key, ()))))
    for key, files in by_key.items():
        if key not in used:
            problems += [Problem("unpaired-mask", relative(p, root), "no image has its name") for p in files]
    return pairs, problems
