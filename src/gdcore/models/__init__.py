"""Dense networks."""

from .networks import ACTIVATIONS, MLP, Linear, Logistic, Network, Softmax, from_config

__all__ = ["ACTIVATIONS", "MLP", "Linear", "Logistic", "Network", "Softmax", "from_config"]
