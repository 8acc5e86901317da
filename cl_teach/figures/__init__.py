"""Figures of the course, each with a text that says in words and rounded numbers what it shows.

A file a subject, in the order of the lessons:

- ``style``: the one visual language, and what a finished figure is
- ``training``: the digits, and what training does to them
- ``two_weights``: exact losses over two weights
- ``strengths``: what each strength keeps and learns
- ``bayes``: from Bayes to the Fisher information
- ``sequences``: many tasks, one after another
- ``exhibits``: a wrong importance beside the right one
- ``logits``: what the outputs say of images whose task is over
- ``lines``: loss along straight lines, true and predicted
- ``landscapes``: loss over planes, and the ways of training there
- ``journeys``: any run at any of its steps
- ``tables``: what papers report beside what came out here
- ``predictions``: what a learner said beside what was measured, for ``cl_teach.widgets``
"""

from .bayes import importance_images, label_choices, laplace_frame, score_histogram, terms
from .exhibits import exhibit
from .journeys import Journeys
from .landscapes import landscape, surface_3d
from .lines import slices, truth_meter
from .logits import logits
from .sequences import layer_overlap, sequence, sequence_frame
from .strengths import frontier, stability, strength_frame
from .style import METHODS, Picture, Stage, canvas, strength_label
from .tables import ladder, published
from .training import digits, forgetting_frame, learning_curves
from .two_weights import circle, ellipse, two_weight_surface

__all__ = [
    "METHODS",
    "Journeys",
    "Picture",
    "Stage",
    "canvas",
    "circle",
    "digits",
    "ellipse",
    "exhibit",
    "forgetting_frame",
    "frontier",
    "importance_images",
    "label_choices",
    "ladder",
    "landscape",
    "laplace_frame",
    "layer_overlap",
    "learning_curves",
    "logits",
    "published",
    "score_histogram",
    "sequence",
    "sequence_frame",
    "slices",
    "stability",
    "strength_frame",
    "strength_label",
    "surface_3d",
    "terms",
    "truth_meter",
    "two_weight_surface",
]
