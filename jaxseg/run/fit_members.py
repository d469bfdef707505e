"""Makes sure before step 1 that runs that are trained together fit the memory of their devices."""

from collections.abc import Callable, Sequence

from jaxseg.run.experiment import Experiment
from jaxseg.run.fit import agreed_limit, compile_for, describe_share
from jaxseg.run.members import MemberSteps
from jaxseg.run.memory import held_bytes
from jaxseg.types import Source


def fit_members(
    experiment: Experiment,
    steps: MemberSteps,
    count: int,
    train: Source | None,
    scored: Sequence[Source],
    say: Callable[[str], None],
) -> Experiment:
    """Returns the experiment of the first member with a compiled evaluation, and says what all members need.

    The members are evaluated one after another, while the states of all are on the devices.

    Args:
      experiment: that of the first member.
      steps: the steps of all.
      count: number of members.
      train: the training split of the first; None if the members only evaluate.
      scored: the splits that are evaluated.
      say: called with a line for people.

    Raises:
      ValueError: the members do not fit.
    """
    config, data = experiment.config.train, experiment.task.data
    evaluated = [data.largest_batch(source, experiment.config.data, training=False) for source in scored]
    fitted = compile_for(experiment, [], evaluated, config.batch_size, config.accumulate)
    others = steps.held - held_bytes(experiment.steps.abstract_state)
    needs = [None if fitted.needed is None else fitted.needed + others]
    if train is not None:
        needs.append(steps.needed(data.largest_batch(train, experiment.config.data, training=True), config.batch_size))
    known, limit = [need for need in needs if need is not None], agreed_limit(experiment.config.memory_limit)
    if limit is None or len(known) < len(needs):
        return fitted.experiment
    told = f"{describe_share(max(known), limit)} for {count} runs"
    if max(known) > limit:
        raise ValueError(
            f"train.batch_size is {config.batch_size}, which needs {told}. Train fewer runs together, lower "
            "train.batch_size, raise train.accumulate, or set remat=True or precision=bfloat16."
        )
    say(f"needs {told}")
    return fitted.experiment
