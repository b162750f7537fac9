"""The ranker: tensors in, tensors out. Pure torch and numpy.

Here and in the packages above, the capitals at the end of a name are the shape of what it holds, one letter for each
dimension. A digit stands for itself, as in `mask_BL1` or `qkv_BL3M`.

    A  positions that attend to others: all of a history, or the target alone
    B  rows of a batch
    C  width of the frozen content, and of what encoders give
    D  width of an encoded item
    E  width of an embedding
    F  features of a row
    H  attention heads
    K  entries that the config counts: last outputs kept as interest, centres of a codebook, bins of a histogram
    L  positions of a sequence: a history (oldest first, padded on the left), the words of a text, places in a picture
    M  width of the transformer's inputs and outputs
    N  items of the table (row 0 is the padding item)
    P  positions of several histories, one history after the other
    Q  semantic codes of an item
    R  rows of an embedding table
    S  some of the items: those seen in train, or a sample
    T  tags of an item
    U  distinct items of a batch
    W  a width that the caller asks for
    X  any other number

The only other letters are those of pictures, which are BCHW (batch, channels, height, width), as torch wants them, or
BHWC, as they are decoded.
"""
