"""Several models of the same shape that predict as one: the mean of their class probabilities."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxseg.inference.engine import TrainedModel


class Ensemble(NamedTuple):
    """A model with the variables of several members, stacked along a leading axis.

    Attributes:
      member: the module of each.
    """

    member: nn.Module

    @property
    def coarsest_stride(self) -> int:
        """Returns the stride of the coarsest feature map."""
        return self.member.coarsest_stride

    def clone(self, **fields: Any) -> "Ensemble":
        """Returns the ensemble with other values of fields of its members, as modules do."""
        return Ensemble(self.member.clone(**fields))

    def apply(self, variables: dict[str, Any], image: jax.Array, **options: Any) -> dict[str, jax.Array]:
        """Returns the logarithm of the mean probabilities as logits: ``log(mean_i softmax(logits_i))``."""

        def log_probabilities(own: dict[str, Any]) -> jax.Array:
            logits = self.member.apply(own, image, **options)["logits"]
            return jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)

        each = jax.lax.map(log_probabilities, variables)
        return {"logits": jax.nn.logsumexp(each, axis=0) - jnp.log(len(each))}


def join_models(models: Sequence[TrainedModel]) -> TrainedModel:
    """Returns the ensemble of trained models as one.

    Raises:
      ValueError: they are detectors, or of different classes.
    """
    first = models[0]
    if first.config.task != "semantic":
        raise ValueError(f"the runs have task={first.config.task}; expected semantic models. Load one run.")
    if any(one.class_names != first.class_names for one in models):
        raise ValueError("the runs have different classes; expected the same in all. Load one run.")
    variables = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(one.variables for one in models))
    return first._replace(model=Ensemble(first.model), variables=variables)
