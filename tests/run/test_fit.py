"""A run fits the memory that it is given, or says before step 1 what would."""

import re

import chex
import jax
import numpy as np
import pytest
from experiments import tiny_config, tiny_detector, tiny_experiment

from jaxseg.config import changes, ranges
from jaxseg.data.semantic.batches import train_batches
from jaxseg.run import fit
from jaxseg.run.fit import Fitted, fit_to_memory


def unnormalized(**fields):
    """A config without norms, whose result does not depend on how a batch is cut."""
    fields = {"optimizer__name": "sgd", "optimizer__learning_rate": 0.1, "data__image_size": (16, 16)} | fields
    config = tiny_config(**fields)
    config.model = {"name": "unet", "features": 4, "depth": 1, "norm": "none"}
    return config


def fitted(config, evaluates=True):
    """The fitted experiment of a config on one device, its training split and the lines that it says."""
    lines = []
    experiment, source = tiny_experiment(config, jax.devices()[:1])
    return fit_to_memory(experiment, source, [source] if evaluates else [], lines.append), source, lines


def need(config):
    """Bytes that a config needs, as it says."""
    _, _, lines = fitted(config)
    return float(re.fullmatch(r"needs (\S+) of 50 GB per device", lines[-1])[1]) * 1e9


@pytest.fixture(scope="module")
def whole():
    """What a batch of 8 needs at once."""
    return need(unnormalized(memory_limit=50.0))


def step_of(experiment, source):
    """The state and the logs after one step."""
    config = experiment.config
    with train_batches(source, config.data, batch_size=8, seed=0, start_step=0) as batches:
        batch = experiment.steps.place(next(batches))
    return jax.device_get(experiment.steps.train(experiment.steps.init(), batch))


@pytest.mark.slow
def test_auto_cuts_a_batch_until_it_fits_and_takes_the_same_step(whole):
    plain, source, _ = fitted(unnormalized())
    config = unnormalized(memory_limit=0.7 * whole / 1e9)
    changes.set_text(config, "train.accumulate", "auto")
    auto, _, lines = fitted(config)
    assert auto.config.train.accumulate == 2
    assert lines[0] == "train.accumulate is auto: 2 microbatch(es) of 4 images"
    chex.assert_trees_all_close(step_of(auto, source), step_of(plain, source), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_batch_that_does_not_fit_is_refused_with_one_that_does(whole):
    config = unnormalized(memory_limit=0.8 * whole / 1e9)
    with pytest.raises(ValueError, match="train.batch_size is 8, which needs .* GB per device; expected at most") as no:
        fitted(config)
    assert "train.accumulate=auto" in str(no.value)
    most = int(re.search(r"expected at most (\d+)", str(no.value))[1])
    config.train.batch_size = most
    fitted(config)
    config.train.batch_size = most + 1
    with pytest.raises(ValueError, match="train.batch_size is"):
        fitted(config)


def test_evaluation_counts_too():
    """Here an evaluation of larger images needs more than training."""
    fields = {"data__image_size": (64, 64), "data__crop_size": (16, 16), "memory_limit": 50.0}
    (_, _, alone), (_, _, both) = (fitted(unnormalized(**fields), evaluates) for evaluates in (False, True))
    training, run = (float(lines[-1].split()[1]) for lines in (alone, both))
    assert run > 2 * training


def test_fewest_microbatches_are_found_by_bisection():
    experiment, _ = tiny_experiment(tiny_config(train__batch_size=64), jax.devices()[:1])
    for limit, expected in ((64, 1), (63, 2), (16, 4), (15, 8), (1, 64)):
        tried = []

        def compiled(batch_size, count, tried=tried):
            tried.append(count)
            return Fitted(count, batch_size // count)

        assert fit.fewest_microbatches(experiment, compiled, limit).experiment == expected
        assert len(tried) <= 4
    with pytest.raises(ValueError, match="one image at a time needs .* To need less, set remat=True"):
        fit.fewest_microbatches(experiment, compiled, 0.5)


def test_a_batch_that_does_not_fit_is_refused_with_the_largest_that_does():
    experiment, _ = tiny_experiment(tiny_config(train__batch_size=64, mesh__data=2), jax.devices()[:2])
    for limit, told in ((40e9, "expected at most 38. Lower"), (1e9, "no smaller batch fits. To need less, set remat")):
        message = fit.explain_misfit(
            experiment, lambda rows, parts: Fitted(None, int(rows / parts * 1e9 + 2e9)), Fitted(None, int(66e9)), limit
        )
        expected = f"train.batch_size is 64, which needs 66 of {limit / 1e9:g} GB per device; {told}"
        assert message.startswith(expected)
        assert ("train.accumulate=auto" in message) == (limit == 40e9)


def test_unknown_memory_is_taken_to_fit():
    assert fit.fits(Fitted(None, None), 1.0)
    assert fit.fits(Fitted(None, 10), None)
    assert not fit.fits(Fitted(None, 10), 9.0)


def test_only_auto_stands_for_a_number_of_microbatches():
    config = tiny_config()
    changes.set_text(config, "train.accumulate", "4")
    assert config.train.accumulate == 4
    changes.set_value(config, "train.accumulate", "auto")
    ranges.check(config)
    with pytest.raises(ValueError, match="train.accumulate is 'some'; expected a whole number"):
        changes.set_text(config, "train.accumulate", "some")
    config = tiny_config(train__accumulate="some")
    with pytest.raises(ValueError, match="train.accumulate is 'some'; expected at least 1, or 'auto'"):
        ranges.check(config)


@pytest.mark.slow
def test_pmap_is_checked_as_jit_is():
    def needed(parallel):
        experiment, source = tiny_experiment(tiny_config(parallel=parallel))
        batch = experiment.task.data.largest_batch(source, experiment.config.data, training=True)
        return fit.compile_for(experiment, [batch], [], 8, 1).needed

    assert needed("pmap") == pytest.approx(needed("jit"), rel=0.2)


def test_norms_that_see_parts_of_a_batch_are_told():
    experiment, _ = tiny_experiment(tiny_config(train__accumulate=2, train__batch_size=16))
    assert "batch norms see 8 images at a time" in fit.describe_microbatches(experiment)
    frozen, _ = tiny_experiment(tiny_detector(train__batch_size=8))
    assert not fit.has_live_norms(frozen)


@pytest.mark.parametrize("make", [tiny_config, tiny_detector])
def test_the_largest_batch_has_the_shapes_of_real_ones(make):
    config = make(data__border_weight=1.0, train__batch_size=8)
    experiment, source = tiny_experiment(config)
    data, config = experiment.task.data, experiment.config
    with data.train_batches(source, config.data, batch_size=2, seed=0, start_step=0) as batches:
        trained = next(batches)
    with data.eval_batches(source, config.data, batch_size=2) as batches:
        evaluated = next(batches)
    for training, real in ((True, trained), (False, evaluated)):
        expected = data.largest_batch(source, config.data, training=training)
        found = jax.tree.map(lambda leaf: (leaf.shape[1:], np.dtype(leaf.dtype)), real)
        assert jax.tree.map(lambda leaf: (leaf.shape[1:], np.dtype(leaf.dtype)), expected) == found
