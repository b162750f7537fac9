"""A replay: what each policy of retraining would have been worth on the nights that a data set with time holds.

policies   what a policy does on a night
timeline   the rows of all splits, in the order of time, and when each item was first seen
hindsight  whether a column of the data knows what comes later
night      the data as they were known on one night
retrain    what the pipeline would have done that night: validate, embed, train, evaluate, gate
play       one night of one policy, and the scores of the next day's rows
chain      all nights of one policy, in a process of its own
engine     what was asked for, and the chains of all policies
figures    AUC, calibration and cost of what served
ageing     what a model loses a day; whether the gate was right
results    results.json
report     the page
"""
