"""Engines: the same numbers as the plain code of the five core files, sooner. Nothing here needs to be read to understand them.

layers      per-sample gradients of common layers in closed form
columns     what is sent back from the logits: all labels of a softmax in fewer, cheaper passes
per_sample  the quick Fisher information, which takes the quickest way that is right for each parameter
grid        loss over a plane, the first layer done three times instead of once a point
together    K networks trained side by side
pointwise   the layers that both of these may take for many networks at once
agree       the judge, who holds each quick way against the plain one
"""
