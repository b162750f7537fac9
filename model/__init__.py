"""The ranker: tensors in, tensors out. Pure torch and numpy.

Names carry the shape of what they hold, one letter a dimension:

    B  rows of a batch                 L  positions of a history, oldest first, padded on the left
    N  items of the table (row 0 is the padding item)
    U  distinct items of a batch       D  width of an encoded item
    K  last outputs kept as interest   T  tags of an item
"""
