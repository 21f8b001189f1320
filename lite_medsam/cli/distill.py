"""`lite-medsam distill`: a small model learns to answer as a large one does."""

import dataclasses
import shlex
from pathlib import Path

import click

from lite_medsam.cli.options import settings_options
from lite_medsam.cli.train import require_training
from lite_medsam.learning.distillation.settings import DistillSettings
from lite_medsam.learning.lessons.settings import ViewSettings

FAMILIES = ("litemedsam", "medsam_vit_b", "sam_vit_b", "sam_vit_l", "sam_vit_h", "mobile_sam")


def distill_options(function):
    """Adds an option for every field of DistillSettings and ViewSettings."""
    function = settings_options(function, ViewSettings)
    return settings_options(function, DistillSettings, left_out=("views",))


@click.command(
    name="distill",
    epilog="""\b
Examples:
  lite-medsam distill --teacher medsam_vit_b.pth --cases cases/train -o runs/small
  lite-medsam distill --teacher models/litemedsam --student weights/lite-medsam --cases cases/train -o runs/better
  lite-medsam distill --teacher lite-medsam --student tiny.json --cases cases/train -o runs/tiny --steps 2000
""",
)
@click.option("--teacher", required=True,
              help="Model directory, name of a bundled model, or a checkpoint file that `convert` knows.")  # fmt: skip
@click.option("--family", type=click.Choice(["auto", *FAMILIES]), default="auto", show_default=True,
              help="What a checkpoint file is, where that is not to be seen from it.")  # fmt: skip
@click.option("--engine", type=click.Choice(["auto", "onnxruntime", "openvino", "torch"]), default="auto",
              show_default=True, help="What runs a teacher that is a model directory.")  # fmt: skip
@click.option("--student", type=click.Path(exists=True, path_type=Path),
              help="Model directory to start from, or recipe or spec.json.  [default: a new small one]")  # fmt: skip
@click.option("--start", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder with the starting weights that a recipe names.")  # fmt: skip
@click.option("--cases", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
              help="Folder of npz cases, labelled or not.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Continue the run in the folder; it ends as if it had not been cut.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path),
              help="Folder for the teacher's answers, about 1 MB a view, shareable.  [default: OUTPUT/lessons]")  # fmt: skip
@click.option("--cache-limit-gb", type=click.FloatRange(0), help="Largest size of that folder.  [default: no limit]")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.")
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Where to compute."
)
@distill_options
def command(
    teacher, family, engine, student, start, cases, output, resume, cache, cache_limit_gb, threads, device, **values
) -> None:
    """Teach a small model to answer as a large one does.

    Teacher and student see the same windows of the images, never stretched. The student learns the teacher's features and
    its masks for simulated boxes and clicks. The teacher's answers are kept on disk, so it is asked once for each view.
    OUTPUT/model is a model directory; fine-tuning it on labels is the next step.
    """
    require_training("onnx")

    from lite_medsam.learning.distillation.run import open_student, run_distillation
    from lite_medsam.learning.lessons.teachers import open_teacher
    from lite_medsam.learning.network.threads import set_threads

    set_threads(threads)
    views = ViewSettings(**{field.name: values.pop(field.name) for field in dataclasses.fields(ViewSettings)})
    settings = DistillSettings(**values, views=views)
    limit = None if cache_limit_gb is None else int(cache_limit_gb * 1e9)
    try:
        result = run_distillation(
            open_teacher(teacher, family, engine, threads, device), open_student(student, settings.seed), cases, output,
            settings, resume, start, cache, limit, device,
        )  # fmt: skip
    except FloatingPointError as error:
        raise click.ClickException(str(error)) from None
    kind = "held-out" if result.after.held_out else "training"
    print(f"{result.after.lessons} {kind} views   before   after")
    print(f"feature error    {result.before.feature_error:>13.3f} {result.after.feature_error:>7.3f}")
    print(f"mask agreement   {result.before.agreement:>13.3f} {result.after.agreement:>7.3f}")
    print(
        f"the teacher was asked {result.asked} times; largest difference of the graphs to torch {result.difference:.1e}"
    )
    words = ["lite-medsam", "finetune", "--cases", cases, "--weights", result.model, "-o", output / "finetuned"]
    print(f"model: {result.model}\nnext: {shlex.join(map(str, words))}")
