"""Engines: the same numbers as the plain code of the five core files, sooner. Nothing here needs to be read to understand them.

- layers: per-sample gradients of common layers in closed form; the table of the layers that are covered
- columns: what is sent back from the logits; all labels of a softmax in fewer, cheaper passes
- sums: of squared gradients, from the calls of the layers and the columns
- recurrent: RNN, LSTM and GRU step by step, as products that the closed forms and torch.func know
- per_sample: the quick Fisher information, which takes the quickest way that is right for each parameter
- directions: what the Fisher information does to directions of the weights, without per-sample gradients where that is right
- grid: loss over a plane, the first layer done three times instead of once a point
- chain: the gradient of a training step of Linear and pointwise layers, without autograd
- momentum: the step of SGD
- held: what a penalty does in a training step
- together: K networks trained side by side
- pointwise: the layers that grid, chain and together take as they are
- agree: the judge, who holds the quick ways of per_sample and grid against the plain ones
"""
