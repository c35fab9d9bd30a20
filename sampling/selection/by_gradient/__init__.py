"""Selectors that read the gradient of each sample's loss, mostly that of the last layer.

grad_match  approximates the sum of all gradients, with weights
glister     reduces a validation loss, whose gradient follows the picks; no weights

Gradients change during training: both papers select again every few epochs. CRAIG is
`facility_location` of the gradients.
"""
