"""The same calls said twice: as requests of our own client, and as method calls of LaunchDarkly's."""

from contract.pairs.experiment_patches import EXPERIMENT_PATCHES
from contract.pairs.experiments import EXPERIMENTS
from contract.pairs.flags import FLAGS
from contract.pairs.holdouts_and_layers import HOLDOUTS_AND_LAYERS
from contract.pairs.metrics import METRICS
from contract.pairs.pair import Pair
from contract.pairs.projects import PROJECTS
from contract.pairs.releases import RELEASES

__all__ = ["PAIRS", "Pair"]

PAIRS = {**EXPERIMENTS, **EXPERIMENT_PATCHES, **FLAGS, **METRICS, **HOLDOUTS_AND_LAYERS, **PROJECTS, **RELEASES}
