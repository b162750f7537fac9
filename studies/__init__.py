"""A study: one question, a grid of rankers that differ in what is asked about, each trained with several seeds.

It trains and scores with the pipeline's own steps, so its results apply to the pipeline.
"""
