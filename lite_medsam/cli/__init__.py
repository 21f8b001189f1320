"""The command line, one file per command; a command's file is imported only when it is called.

- baseline: `lite-medsam baseline`: a U-Net or a ReLayNet-style network to compare with
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
- measures: What `lite-medsam evaluate` does with --metrics and --baseline: columns, protocol, who is scored
- options: Options that several commands share, and options made from a dataclass of settings
- phantoms: `lite-medsam phantoms`: synthetic sample cases with exact labels
- prepare: `lite-medsam prepare`: a data set becomes cases, or is checked
- quantify: `lite-medsam quantify`: masks of an eye become the numbers of a clinic
- segment: `lite-medsam segment`: masks of images, volumes and folders from boxes and points
- segment_report: What `lite-medsam segment` says: progress, a line for each input, failures at the end
- serve: `lite-medsam serve`: a service for the viewers that know nnInteractive
- train: `lite-medsam train`: a model from a recipe
- weights: `lite-medsam weights`: published weights listed, downloaded and checked
"""

import contextlib
import importlib
import signal
import sys
import warnings

import click

# name -> what `lite-medsam --help` says of it
COMMANDS = {
    "segment": "Segment images, volumes, folders or npz cases from boxes and points.",
    "quantify": "Measure masks of OCT and fundus pictures: fluid, thickness, atrophy, cup and disc.",
    "evaluate": "Score a model or finished predictions on labelled cases.",
    "demo": "Open the demo in the browser: draw a box, get the mask, take it home.",
    "serve": "Answer viewers that know nnInteractive: 3D Slicer, napari, MITK.",
    "info": "Show versions, engines, the default model and its terms.",
    "prepare": "Turn a data set into cases, or check it.",
    "datasets": "List known data sets, their sources and terms.",
    "phantoms": "Write synthetic sample cases with exact labels.",
    "finetune": "Make a model better on your own labelled images.",
    "baseline": "Train a U-Net or a ReLayNet-style network to compare with.",
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

    What the console cannot show, or nobody reads, ends nothing, see `storage.console`.

    Args:
        arguments: Words after the program's name; those of the process by default.
    """
    from lite_medsam.storage.console import safe_console

    signal.signal(signal.SIGTERM, _interrupt)  # so that temporary files are removed, as after Ctrl-C
    with safe_console() as (out, err), _short_warnings():
        code = _run(arguments)
        out.flush()
        if out.lost is not None and not out.reader_left:  # `> file` on a full disk
            print(f"error: the output could not be written ({_one_line(out.lost)})", file=err)
            code = code or 1
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    """Runs a command; the exit code, its error told."""
    try:
        # a command that ends early by raising Exit is returned by click as its code
        return group.main(arguments, prog_name="lite-medsam", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show(file=sys.stderr)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("interrupted; finished outputs are kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0  # the reader of our output went away, as `| head` does; there is nobody to tell
    except ValueError as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 2
    except (OSError, ImportError, MemoryError) as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 1


@contextlib.contextmanager
def _short_warnings():
    """Shows warnings as one line that a user can read, without the place in our code."""
    shown = warnings.showwarning

    def show(message, category, filename, lineno, file=None, line=None) -> None:
        if issubclass(category, RuntimeWarning):
            print(f"warning: {_one_line(message)}", file=file or sys.stderr)
        else:
            shown(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = shown


def _interrupt(*_) -> None:
    raise KeyboardInterrupt


def _one_line(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory; use a smaller image or close other programs"
    return " ".join(str(error).split()) or type(error).__name__
