"""Where a block of ours stands in libraries that number blocks throughout, or by the rows of the paper's table.

Our networks of inverted residuals number blocks by resolution: `stage_2_block_3`.
"""

import re
from dataclasses import dataclass

BLOCK = r"stage_(\d+)_block_(\d+)_([a-z]+)_(\w+)"  # stage, block, part of the block, layer of the part
PARTS = ("expand", "fused", "depthwise", "se", "project")  # in the order of computation


@dataclass(frozen=True)
class Place:
    """A block's place.

    Attributes:
        index: among all blocks.
        row: of the paper's table.
        position: in the row.
        parts: those of `PARTS` that the block has.
    """

    index: int
    row: int
    position: int
    parts: tuple


def places(model):
    """`(stage, block)` to `Place`. A block without a shortcut begins a row, since sizes change there."""
    parts, added = {}, set()
    for layer in model.layers:
        if match := re.fullmatch(BLOCK, layer.name):
            parts.setdefault((int(match[1]), int(match[2])), set()).add(match[3])
        elif match := re.fullmatch(r"stage_(\d+)_block_(\d+)_add", layer.name):
            added.add((int(match[1]), int(match[2])))
    found, row, position = {}, -1, 0
    for index, block in enumerate(sorted(parts)):
        if index == 0 or block not in added:
            row, position = row + 1, 0
        else:
            position += 1
        found[block] = Place(index, row, position, tuple(part for part in PARTS if part in parts[block]))
    return found
