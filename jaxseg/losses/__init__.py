"""Losses: functions of outputs and annotations that return one number.

``mean_loss`` is the loss of a batch of a semantic model for a training loop of one's own.
"""

from jaxseg.losses.semantic import mean_loss

__all__ = ["mean_loss"]
