"""Runs that were trained together: their configs, their folders, and the mean and spread of their scores."""

import json
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from jaxseg.run.checkpoint_reader import saved_steps
from jaxseg.storage import write_text

NAME = "ensemble.json"
LEAST_KEPT = 2  # checkpoints per member: while one is saved, all members have the one before


def member_configs(config: ml_collections.ConfigDict, seeds: int, folds: int) -> dict[str, ml_collections.ConfigDict]:
    """Returns the config of each member by the name of its folder.

    Args:
      config: the config of all.
      seeds: the number of members with other seeds; 0 makes folds.
      folds: the number of members with other folds of the training split.

    Raises:
      ValueError: not exactly one of the two numbers is at least 2.
    """
    count = seeds or folds
    if bool(seeds) == bool(folds) or count < 2:
        raise ValueError(f"--seeds is {seeds} and --folds is {folds}; expected one of them, and at least 2.")
    members = {}
    for number in range(count):
        own = ml_collections.ConfigDict(config.copy_and_resolve_references())
        with own.unlocked():
            own.train.keep = max(own.train.keep, LEAST_KEPT)
            if seeds:
                own.seed = config.seed + number
            else:
                split = config.data.train
                own.data.train, own.data.val = f"{split}[!{number}/{folds}]", f"{split}[{number}/{folds}]"
        members[f"{'seed' if seeds else 'fold'}_{number}"] = own
    return members


def members_of(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the workdirs of the members of an ensemble; [] where the folder is not one."""
    path = folder / NAME
    if not path.exists():
        return []
    return [folder / name for name in json.loads(path.read_text())["members"]]


def check_folder(folder: pathlib.Path, members: Collection[str] = ()) -> None:
    """Checks that a folder has no run yet, or the run or the members that are to be trained in it.

    Args:
      folder: the workdir.
      members: names of the members; () for one run.

    Raises:
      ValueError: it has another kind or number of runs.
    """
    found = [path.name for path in members_of(folder)]
    if found and set(found) != set(members):
        raise ValueError(
            f"workdir {folder} has the runs {', '.join(found)}, which were trained together; expected "
            f"{', '.join(members) or 'one run'}. Choose another --workdir."
        )
    if members and (folder / "config.json").exists():
        raise ValueError(f"workdir {folder} has one run; expected several, or none. Choose another --workdir.")


def newest_common_step(folders: Sequence[pathlib.Path]) -> int:
    """Returns the newest step that all of these runs have saved; 0 where there is none."""
    return max(set.intersection(*(set(saved_steps(folder)) for folder in folders)), default=0)


def summarize(scores: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, tuple[float, float]]]:
    """Returns mean and standard deviation over members of every score that is one number.

    Args:
      scores: of each member, by kind of split.

    Example:
      >>> summarize([{"val": {"mean_iou": 0.25}}, {"val": {"mean_iou": 0.75}}])
      {'val': {'mean_iou': (0.5, 0.25)}}
    """
    summary: dict[str, dict[str, tuple[float, float]]] = {}
    for kind in scores[0]:
        for name in scores[0][kind]:
            values = [one[kind].get(name) for one in scores]
            if all(isinstance(value, float) for value in values):
                summary.setdefault(kind, {})[name] = (float(np.mean(values)), float(np.std(values)))
    return summary


def describe_summary(summary: Mapping[str, Mapping[str, tuple[float, float]]], count: int) -> list[str]:
    """Returns a line per split and score for people."""
    lines = []
    for kind, scores in summary.items():
        width = max(map(len, scores))
        lines.append(f"{kind}, mean and standard deviation of {count} runs:")
        lines += [f"  {name:{width}}  {mean:.4f} +-{spread:.4f}" for name, (mean, spread) in scores.items()]
    return lines


def write(folder: pathlib.Path, members: Sequence[str], summary: Mapping[str, Any]) -> None:
    """Writes ``ensemble.json``: the members, and their scores by kind of split as [mean, standard deviation]."""
    write_text(folder / NAME, json.dumps({"members": list(members), "scores": summary}, indent=2) + "\n")
