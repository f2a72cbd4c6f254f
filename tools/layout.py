# SPDX-License-Identifier: Apache-2.0

"""Place the boxes of a drawing in rows, so that every arrow leads down.

The usual four steps: a row for each box, helpers where an arrow passes a row,
an order within the rows with few crossings, and positions that keep arrows
straight. Nothing here depends on chance: the same graph gives the same
drawing, with fsum() on each Python: sum() rounds otherwise from 3.12 on.
"""

import dataclasses
import itertools
import math

GAP = 34            # between boxes of a row
PASS_GAP = 22       # beside an arrow that passes a row
ROW_GAP = 74        # between rows, room for the words of an arrow


@dataclasses.dataclass
class Box:
    name: object
    width: float
    height: float
    x: float = 0
    y: float = 0
    row: int = 0
    is_helper: bool = False

    @property
    def centre(self):
        return self.x + self.width / 2


@dataclasses.dataclass
class Drawing:
    boxes: dict
    # For each arrow the boxes that it goes through, ends included.
    paths: dict
    width: float
    height: float


def arrange(sizes, arrows):
    """Place boxes.

    :param sizes: width and height by name; the order is kept where it can be.
    :param arrows: pairs of names, from what is above to what is below.
    """
    boxes = {name: Box(name, *size) for name, size in sizes.items()}
    arrows = list(dict.fromkeys(arrows))
    _choose_rows(boxes, arrows)
    paths = _add_helpers(boxes, arrows)
    segments = [pair for path in paths.values()
                for pair in itertools.pairwise(path)]
    rows = [[] for _row in range(1 + max(box.row for box in boxes.values()))]
    for box in boxes.values():
        rows[box.row].append(box.name)
    rows = _order(rows, segments)
    _place(boxes, rows, paths, segments)
    return Drawing(boxes, paths,
                   max(box.x + box.width for box in boxes.values()),
                   max(box.y + box.height for box in boxes.values()))


def _choose_rows(boxes, arrows):
    for _round in boxes:
        for above, below in arrows:
            boxes[below].row = max(boxes[below].row, boxes[above].row + 1)
    # What needs nothing is close to what needs it.
    for name, box in boxes.items():
        below = [boxes[b].row for a, b in arrows if a == name]
        if below and not any(b == name for _a, b in arrows):
            box.row = min(below) - 1


def _add_helpers(boxes, arrows):
    paths = {}
    for above, below in arrows:
        helpers = []
        for row in range(boxes[above].row + 1, boxes[below].row):
            name = (above, below, row)
            boxes[name] = Box(name, 2, 0, row=row, is_helper=True)
            helpers.append(name)
        paths[above, below] = [above, *helpers, below]
    return paths


def _order(rows, segments):
    """Order each row by its neighbours, to and fro, and keep the best."""
    neighbours = {}
    for above, below in segments:
        neighbours.setdefault((below, -1), []).append(above)
        neighbours.setdefault((above, 1), []).append(below)
    best = [list(row) for row in rows]
    for turn in range(12):
        side = -1 if turn % 2 == 0 else 1
        numbers = range(len(rows))
        for number in (numbers if side == -1 else reversed(numbers)):
            if not 0 <= number + side < len(rows):
                continue
            place = {name: i for i, name in enumerate(rows[number + side])}
            here = {name: i for i, name in enumerate(rows[number])}

            def middle(name):
                near = [place[n] for n in neighbours.get((name, side), [])]
                return math.fsum(near) / len(near) if near else here[name]

            rows[number] = sorted(rows[number], key=middle)
        _swap(rows, segments)
        if _crossings(rows, segments) < _crossings(best, segments):
            best = [list(row) for row in rows]
    return best


def _swap(rows, segments):
    """Swap neighbours of a row for as long as it saves a crossing."""
    fewest = _crossings(rows, segments)
    for row in rows:
        for i in range(len(row) - 1):
            row[i], row[i + 1] = row[i + 1], row[i]
            crossings = _crossings(rows, segments)
            if crossings < fewest:
                fewest = crossings
            else:
                row[i], row[i + 1] = row[i + 1], row[i]


def _crossings(rows, segments):
    place = {name: (number, i) for number, row in enumerate(rows)
             for i, name in enumerate(row)}
    ends = [(place[above], place[below]) for above, below in segments]
    return sum((a[1] - c[1]) * (b[1] - d[1]) < 0
               for (a, b), (c, d) in itertools.combinations(ends, 2)
               if a[0] == c[0])


def _place(boxes, rows, paths, segments):
    y = 0
    for row in rows:
        height = max(boxes[name].height for name in row)
        for name in row:
            box = boxes[name]
            if box.is_helper:
                box.height = height
            box.y = y + (height - box.height) / 2
        y += height + ROW_GAP

    near = {name: [] for name in boxes}
    for above, below in segments:
        near[above].append(below)
        near[below].append(above)
    for row in rows:
        x = 0
        for name in row:
            boxes[name].x = x
            x += boxes[name].width + GAP
    for turn in range(60):
        for row in rows if turn % 2 == 0 else reversed(rows):
            _settle([boxes[name] for name in row],
                    [_wish(boxes, name, near[name]) for name in row])
    _straighten(boxes, rows, paths)
    left = min(box.x for box in boxes.values())
    for box in boxes.values():
        box.x = round(box.x - left, 1)


def _straighten(boxes, rows, paths):
    """Let an arrow pass its rows in one line, if nothing is in the way."""
    for path in paths.values():
        helpers = [boxes[name] for name in path[1:-1]]
        if not helpers:
            continue
        free = [_room(boxes, rows[helper.row], helper) for helper in helpers]
        left = max(least for least, _most in free)
        right = min(most for _least, most in free)
        if left <= right:
            wish = math.fsum(helper.x for helper in helpers) / len(helpers)
            for helper in helpers:
                helper.x = min(max(wish, left), right)


def _room(boxes, row, helper):
    """How far a helper may move without leaving its place in the row."""
    i = row.index(helper.name)
    before, after = row[:i][-1:], row[i + 1:][:1]
    return (max((boxes[n].x + boxes[n].width + PASS_GAP for n in before),
                default=-1e9),
            min((boxes[n].x - PASS_GAP - helper.width for n in after),
                default=1e9))


def _wish(boxes, name, near):
    """Where a box would like its centre, and how much."""
    if not near:
        return boxes[name].centre, 0.1
    weights = [4 if boxes[n].is_helper else 1 for n in near]
    total = math.fsum(boxes[n].centre * weight
                      for n, weight in zip(near, weights))
    return total / math.fsum(weights), 4 if boxes[name].is_helper else 1


def _settle(row, wishes):
    """Bring a row as close to its wishes as its widths and order allow.

    Boxes that would overlap form a block, which goes where its members wish
    on average.
    """
    offsets = [0]
    for left, right in itertools.pairwise(row):
        gap = PASS_GAP if left.is_helper or right.is_helper else GAP
        offsets.append(offsets[-1] + left.width / 2 + gap + right.width / 2)
    blocks = []
    for offset, (wish, weight) in zip(offsets, wishes):
        blocks.append([(wish - offset) * weight, weight, 1])
        while (len(blocks) > 1 and blocks[-2][0] / blocks[-2][1]
               >= blocks[-1][0] / blocks[-1][1]):
            last = blocks.pop()
            blocks[-1] = [sum(pair) for pair in zip(blocks[-1], last)]
    starts = [total / weight for total, weight, count in blocks
              for _i in range(count)]
    for box, offset, start in zip(row, offsets, starts):
        box.x = start + offset - box.width / 2
