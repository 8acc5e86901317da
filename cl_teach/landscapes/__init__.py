"""Loss surfaces: with two weights an exact picture, with more a plane through weight space, and how far off it each point lies.

Rules of the pictures: a plane goes through the solutions that are compared; its axes are orthonormal, so that a distance in
the picture is a distance between weights; what does not lie in the plane is told by its residual. Filter normalisation is
for random directions, never for those between solutions (Li et al. 2018, arXiv:1712.09913).

Read in this order:

    planes    planes through solutions, where other weights are seen in them, and the way of a training run
    surfaces  loss and accuracy over a plane
    lines     loss along a line, beside what the Fisher information had predicted
"""

from .lines import Line, interpolate, plane_curvature
from .planes import Plane, Projection, Trace, grid_around, plane_through, pushed, random_plane, trace
from .surfaces import Surface, loss_surface, two_weight_losses

__all__ = [
    "Line",
    "Plane",
    "Projection",
    "Surface",
    "Trace",
    "grid_around",
    "interpolate",
    "loss_surface",
    "plane_curvature",
    "plane_through",
    "pushed",
    "random_plane",
    "trace",
    "two_weight_losses",
]
