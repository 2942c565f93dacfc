"""Image sizes and tiles on the same folders: what a method finds with each, and what it costs.

    python -m benchmarks.views FOLDER_OF_FOLDERS [--category C]... [--method NAME]... [--seed N]... [--set LINE]...

Each view is measured as in `benchmarks.methods`, with the threshold by a split, in a process of its own, and leaves a
record below results/views; it is not run again while that lies there. Photographs of kolektorsdd have about
1,250 x 500 pixels, so that 1280 x 512 is their own size; those of the boards have 640 x 640, those of the tiles many
shapes.
"""

import argparse
from pathlib import Path

from benchmarks.methods import Run, measure
from benchmarks.record import add_results_option
from rd_core.detectors.registry import METHODS

SECONDS = 4 * 3600
"""of a processor, for a view: the largest take ten times as long as the smallest"""
TILED = ("tile=256", "overlap=64")
BOARDS = (("[256,256]",), ("[320,320]",), ("[448,448]",), ("[640,640]",), ("[640,640]", *TILED))
VIEWS = {
    "kolektorsdd": (
        ("[256,256]",),
        ("[640,256]",),
        ("[896,352]",),
        ("[1280,512]",),
        ("[1280,512]", *TILED),
    ),
    "pcb_12100": BOARDS,
    "pcb_00041": BOARDS,
    "magnetic_tile": (("[256,256]",), ("[320,256]",)),
}
"""by folder: the image size, height and width, and tiles"""


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder whose folders have train/good and test/")
    parser.add_argument("--category", action="append", choices=list(VIEWS), help="only this one; may be given again")
    parser.add_argument("--method", action="append", choices=list(METHODS), help="default: reverse_distillation")
    parser.add_argument("--seed", action="append", type=int, help="of the training; may be given again; default 0")
    parser.add_argument("--set", action="append", default=[], help="of the method's settings, as TOML: steps=300")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    add_results_option(parser)
    given = parser.parse_args()
    for seed in given.seed or [0]:
        for category in given.category or VIEWS:
            for method in given.method or ["reverse_distillation"]:
                for size, *tiles in VIEWS[category]:
                    view = ('calibration="split"', f"image_size={size}", *tiles)
                    run = Run(given.data / category, method, seed, given.set, view)
                    measure(run, given.results, given.threads, SECONDS)


if __name__ == "__main__":
    main()
