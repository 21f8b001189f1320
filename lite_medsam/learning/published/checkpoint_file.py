"""Reading checkpoint files that nobody vouches for: tensors only, no code is ever run."""

import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lite_medsam.errors import WeightsError
from lite_medsam.storage.one_line import one_line

PARTS = ("image_encoder.", "prompt_encoder.", "mask_decoder.")
SHOWN_KEYS = 5
# keys under which trainers keep the state dict, the most specific first
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "weights")
# parts of names that wrappers of modules put in: DistributedDataParallel, torch.compile
WRAPPER_PARTS = ("module", "_orig_mod")
# buffers that some versions of the original code stored and that follow from the architecture
DERIVED = (".attention_bias_idxs", ".attn.ab", "pixel_mean", "pixel_std")
MAX_PICKLE_BYTES = 64 * 2**20
_ZIP, _SAFETENSORS_HEADER = b"PK\x03\x04", 8


def read_state(path: str | os.PathLike) -> tuple[dict[str, Tensor], str]:
    """The state dict of a checkpoint file, names without wrappers' prefixes.

    Args:
        path: The file.

    Returns:
        Tensors by name, float32; and how they lay in the file, for people.

    Raises:
        WeightsError: If the file is damaged, would have to run code, or holds no tensors.
    """
    path = Path(path)
    record, wrapping = _read_file(path)
    steps = []
    for _ in range(3):  # trainers nest: {"model": {"state_dict": ...}}
        key = next((k for k in WRAPPERS if isinstance(record.get(k), Mapping)), None)
        if key is None:
            break
        record = record[key]
        steps.append(key)
    tensors = {str(name): value for name, value in record.items() if isinstance(value, Tensor)}
    if not tensors:
        shown = ", ".join(one_line(key, 60) for key in list(record)[:SHOWN_KEYS]) or "nothing"
        raise WeightsError(f"{path} must hold a state dict of tensors, got {shown}; save model.state_dict()")
    names, prefix, models = _plain_names(list(tensors))
    if models > 1 or len(set(names)) != len(names):
        raise WeightsError(f"{path} must hold one model, got several under different prefixes; save one of them")
    wrapping += "".join(f"[{step!r}]" for step in steps) + (f", prefix {prefix!r}" if prefix else "")
    kept = {}
    for name, value in zip(names, tensors.values(), strict=True):
        if is_counter(name) or name.endswith(DERIVED):
            continue
        if value.layout != torch.strided or not value.is_floating_point():
            raise WeightsError(
                f"{path}: {one_line(name, 80)} must be a dense tensor of floats, got {value.dtype}; save float32 weights"
            )
        kept[name] = value.detach().float()
    return kept, wrapping


def _read_file(path: Path) -> tuple[Mapping, str]:
    """The file's top-level mapping, by its content: safetensors or what torch.save wrote."""
    if not path.is_file():
        raise WeightsError(f"checkpoint must be a file, got {path}; give a .pth, .pt, .ckpt or .safetensors file")
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(512)
    _refuse_no_checkpoint(path, head, size)
    if _looks_like_safetensors(head, size):
        return _read_safetensors(path), "safetensors"
    if head.startswith(_ZIP):
        _check_zip(path, size)
    elif not head.startswith(b"\x80"):
        raise WeightsError(f"{path} must be a checkpoint of torch or safetensors, got neither; download it again")
    return _read_torch(path), "torch file"


def _refuse_no_checkpoint(path: Path, head: bytes, size: int) -> None:
    text = head.lstrip().lower()
    if size == 0:
        raise WeightsError(f"{path} must be a checkpoint, got an empty file; download it again")
    if text.startswith((b"<!doctype html", b"<html")):
        raise WeightsError(f"{path} must be a checkpoint, got a web page; open the link in a browser and confirm there")
    if text.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"{path} must be a checkpoint, got a Git LFS pointer; run git lfs pull, or download the file"
        )


def _looks_like_safetensors(head: bytes, size: int) -> bool:
    length = int.from_bytes(head[:_SAFETENSORS_HEADER], "little")
    return head[_SAFETENSORS_HEADER : _SAFETENSORS_HEADER + 1] == b"{" and 0 < length <= max(size, 2**26)


def _read_safetensors(path: Path) -> Mapping:
    import safetensors
    import safetensors.torch

    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError, RuntimeError) as error:
        raise WeightsError(
            f"{path} must be a whole safetensors file, got: {one_line(error)}; download it again"
        ) from None


def _check_zip(path: Path, size: int) -> None:
    """Refuses archives that torch.save does not write: cut off, compressed, or with more inside than there is room for."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise WeightsError(
            f"{path} must be a whole torch file, but it is cut off or damaged; download it again"
        ) from None
    packed = [m.filename for m in members if m.compress_type != zipfile.ZIP_STORED or m.file_size != m.compress_size]
    if packed or sum(m.file_size for m in members) > size:
        raise WeightsError(
            f"{path} must be a torch file, got a compressed archive, which torch never writes; unpack it"
        )
    pickles = [m for m in members if m.filename.endswith("data.pkl")]
    if len(pickles) != 1 or pickles[0].file_size > MAX_PICKLE_BYTES:
        raise WeightsError(f"{path} must be a torch file with one small data.pkl, got another archive; unpack it")


def _read_torch(path: Path) -> Mapping:
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # a file from anywhere: torch raises RuntimeError, UnpicklingError, EOFError, KeyError ...
        raise WeightsError(_reason(path, str(error))) from None
    if not isinstance(record, Mapping):
        kind = type(record).__name__
        raise WeightsError(f"{path} must hold a state dict, got {kind}; save model.state_dict() instead of the model")
    return record


def _reason(path: Path, message: str) -> str:
    named = re.search(r"GLOBAL ([\w.]+)", message) or re.search(r"[Uu]nsupported (?:global|class)[: ]+(\S+)", message)
    if named:
        return (
            f"{path} must hold only tensors, but loading it needs unpickling of {one_line(named.group(1), 80)}, which can "
            "run code; ask for safetensors, or save its state dict alone where you trust it"
        )
    lines = message.strip().splitlines() or ["no reason given"]
    return f"{path} must be a whole torch file, but it is cut off or damaged ({one_line(lines[0])}); download it again"


def is_counter(name: str) -> bool:
    """Whether a name is a normalisation layer's count of training steps, which evaluation never reads."""
    return name.endswith("num_batches_tracked")


def _plain_names(names: list[str]) -> tuple[list[str], str, int]:
    """Names without what wrappers put in and without a prefix such as "model." or "sam."; the prefix; how many there are."""
    plain = [".".join(part for part in name.split(".") if part not in WRAPPER_PARTS) for name in names]
    removed = next((f"{part}." for part in WRAPPER_PARTS if any(part in name.split(".") for name in names)), "")
    anchors = (*PARTS, "patch_embed.", "neck.")  # the last two: an encoder alone
    prefixes = {name[: name.find(anchor)] for name in plain for anchor in anchors[:3] if anchor in name}
    if not prefixes:
        prefixes = {name[: name.find(anchor)] for name in plain for anchor in anchors[3:] if anchor in name}
    prefix = prefixes.pop() if len(prefixes) == 1 else ""
    if prefix:
        plain = [name.removeprefix(prefix) for name in plain]
    return plain, removed + prefix, len(prefixes) + bool(prefix)
