"""The command line, one file per command; a command's file is imported only when it is called.

- bench: `lite-medsam bench`: speed and memory beside the published LiteMedSAM architecture
- card: `lite-medsam card`: measure a model on validation cases and write its card
- compare: `lite-medsam compare`: several models on the same boxes, side by side with LiteMedSAM
- convert: `lite-medsam convert`: a published checkpoint becomes a model directory, and back
- datasets: `lite-medsam datasets`: known data sets, their sources and terms
- demo: `lite-medsam demo`: the demo in the browser
- demo_loading: Finding and loading the demo's folder, in a checkout or in an installed package
- distill: `lite-medsam distill`: a small model learns to answer as a large one does
- evaluate: `lite-medsam evaluate`: scores of a model or of finished predictions on labelled cases
- export: `lite-medsam export`: a training run becomes a model directory
- finetune: `lite-medsam finetune`: a model made better on one's own labelled images
- history: `lite-medsam history`: the learning curve of a training run
- info: `lite-medsam info`: versions, engines, the default model and its terms
- options: Options that several commands share, and options made from a dataclass of settings
- phantoms: `lite-medsam phantoms`: synthetic sample cases with exact labels
- prepare: `lite-medsam prepare`: a data set becomes cases, or is checked
- segment: `lite-medsam segment`: masks of images, volumes and folders from boxes and points
- train: `lite-medsam train`: a model from a recipe
- weights: `lite-medsam weights`: published weights listed, downloaded and checked
"""

import importlib
import os
import signal
import sys

import click

# name -> what `lite-medsam --help` says of it
COMMANDS = {
    "segment": "Segment images, volumes, folders or npz cases from boxes and points.",
    "evaluate": "Score a model or finished predictions on labelled cases.",
    "demo": "Open the demo in the browser: draw a box, get the mask, take it home.",
    "info": "Show versions, engines, the default model and its terms.",
    "prepare": "Turn a data set into cases, or check it.",
    "datasets": "List known data sets, their sources and terms.",
    "phantoms": "Write synthetic sample cases with exact labels.",
    "finetune": "Make a model better on your own labelled images.",
    "train": "Train a model from a recipe.",
    "history": "Measure the learning curve of a training run.",
    "distill": "Teach a small model to answer as a large one does.",
    "export": "Turn a training run into a model directory.",
    "card": "Measure a model on validation cases and write its card.",
    "compare": "Score several models on the same boxes, side by side with LiteMedSAM.",
    "convert": "Turn a published checkpoint (LiteMedSAM, MedSAM, SAM, MobileSAM) into a model directory.",
    "bench": "Measure speed and memory beside the published LiteMedSAM.",
    "weights": "Get published models by name; list, download and check their files.",
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return importlib.import_module(f"lite_medsam.cli.{name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lite-medsam", message="lite-medsam %(version)s")
def group() -> None:
    """Promptable medical image segmentation on a laptop.

    \b
    Start here:
      lite-medsam segment -i image.png --box 120,80,260,190 -o out
      lite-medsam info
    """


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits: 0 done, 1 the environment failed, 2 wrong input, 130 interrupted.

    Args:
        arguments: Words after the program's name; those of the process by default.
    """
    signal.signal(signal.SIGTERM, _interrupt)  # so that temporary files are removed, as after Ctrl-C
    try:
        # a command that ends early by raising Exit is returned by click as its code
        code = group.main(arguments, prog_name="lite-medsam", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("interrupted; finished outputs are kept", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        # the reader of our output went away, as `| head` does; nothing is left to flush to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except ValueError as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
        code = 2
    except (OSError, ImportError, MemoryError) as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
        code = 1
    sys.exit(code)


def _interrupt(*_) -> None:
    raise KeyboardInterrupt


def _one_line(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory; use a smaller image or close other programs"
    return " ".join(str(error).split()) or type(error).__name__
