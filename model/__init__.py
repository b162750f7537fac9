"""The ranker: tensors in, tensors out. Pure torch and numpy.

Names carry the shape of what they hold, one letter a dimension; a digit is itself, as in `mask_BL1` or `qkv_BL3M`:

    B  rows of a batch                 L  positions of a history, oldest first, padded on the left
    N  items of the table (row 0 is the padding item)
    U  distinct items of a batch       S  some of the items: those seen in train, or a sample of a batch's
    T  tags of an item                 Q  semantic codes of an item
    P  positions of several histories, one history after the other
    D  width of an encoded item        E  width of an embedding
    C  width of the frozen content     M  width of the transformer's inputs and outputs
    F  features of a row               H  attention heads
    K  entries that the config counts: last outputs kept as interest, centres of a codebook, bins of a histogram
    W  a width that the caller asks for
    X  any other number
"""
