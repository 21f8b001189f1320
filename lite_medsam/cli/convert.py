"""`lite-medsam convert`: a published checkpoint becomes a model directory, and back."""

from pathlib import Path

import click

FAMILY_NAMES = ("litemedsam", "medsam_vit_b", "sam_vit_b", "sam_vit_l", "sam_vit_h", "mobile_sam")


@click.command(
    name="convert",
    epilog="""\b
Examples:
  lite-medsam convert lite_medsam.pth --out models/litemedsam
  lite-medsam convert lite_medsam.pth --image-size 128 --out models/litemedsam-128
  lite-medsam convert medsam_vit_b.pth --family medsam_vit_b --out models/medsam
  lite-medsam convert student.pth --decoder lite_medsam.pth --out models/student
  lite-medsam convert models/litemedsam --to litemedsam --out lite_medsam.pth
""",
)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True,
              help="Model directory to write; with --to, the checkpoint file.")  # fmt: skip
@click.option("--family", type=click.Choice(["auto", *FAMILY_NAMES]), default="auto", show_default=True,
              help="What SOURCE must be. SAM ViT-B and MedSAM have the same layout: auto goes by hash and name.")  # fmt: skip
@click.option("--decoder", type=click.Path(path_type=Path),
              help="Checkpoint to take prompt encoder and mask decoder from, for files with an image encoder only.")  # fmt: skip
@click.option("--name", help="Name of the model in its spec.  [default: the family's]")
@click.option("--image-size", type=click.Choice(["64", "96", "128", "256"]),
              help="Side of the model's input, for LiteMedSAM: smaller is lighter.  [default: as published]")  # fmt: skip
@click.option("--zoom", type=click.Choice(["on", "off"]),
              help="Whether the model segments objects from crops around their boxes.  [default: on for LiteMedSAM, where "
              "it was measured to help, else off, as the authors do]")  # fmt: skip
@click.option("--to", "target", type=click.Choice(["litemedsam"]),
              help="The other way: SOURCE is a model directory, OUT a .pth that the original code loads.")  # fmt: skip
def command(source, out, family, decoder, name, image_size, zoom, target) -> None:
    """Turn a published checkpoint into a model directory, or back.

    SOURCE is a file of LiteMedSAM, MedSAM ViT-B, SAM ViT-B/L/H or MobileSAM: a bare state dict or one inside a training
    checkpoint, .pth or safetensors. No code in it is ever run.
    """
    try:
        from lite_medsam.learning.published import convert
    except ImportError as error:
        from lite_medsam.errors import MissingExtraError

        raise MissingExtraError("converting checkpoints", "train", error.name) from None

    if target is not None:
        if family != "auto" or decoder or name or image_size or zoom:
            raise click.UsageError("--to takes none of --family, --decoder, --name, --image-size and --zoom")
        count = convert.to_litemedsam(source, out)
        print(f"{out}: {count} tensors in the layout of lite_medsam.pth")
        return
    size, crops = int(image_size) if image_size else None, None if zoom is None else zoom == "on"
    report = convert.to_directory(source, out, family, decoder, name, size, crops)
    print(f"{source}: {report.title} ({report.why}), {report.wrapping}, {report.tensors} tensors")
    print(
        f"{out}: graphs equal torch within {report.difference:.1e}; prompts: {', '.join(report.prompts)}; {report.licence}"
    )
