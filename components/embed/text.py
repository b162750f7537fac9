"""Text encoders: BERT-shaped networks, batched by length in fixed shapes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from components.embed.registry import TextPreprocessing
from components.embed.runtime import Runtime, quiet_loading
from components.errors import StepError

# Padded lengths in tokens. A text's own length decides which one it gets, never its batch mates.
LENGTHS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
CHARACTERS_A_TOKEN = 40  # more than any language needs; cuts a megabyte of text before it is tokenised
CHUNK = 32_768  # texts tokenised at once


@dataclass(frozen=True)
class TextBatch:
    positions: list[int]
    tokens: list[list[int]]
    length: int  # tokens that each row is padded to
    notes: list[str]


class TextEncoder:
    def __init__(self, folder: Path, preprocessing: TextPreprocessing, where: Runtime, batch: int) -> None:
        self.preprocessing, self.where, self.batch = preprocessing, where, batch
        self.tokenizer, self.network = _load(folder, where)
        self.max_tokens = min(preprocessing.max_tokens, int(self.network.config.max_position_embeddings))
        self.dimension = int(self.network.config.hidden_size)

    def batches(self, texts: Sequence[str]) -> Iterator[TextBatch]:
        """Texts of about one length together, short ones first."""
        for start in range(0, len(texts), CHUNK):
            tokens, notes = self.tokenise(texts[start : start + CHUNK])
            for length, rows in _by_length([len(ids) for ids in tokens]):
                for at in range(0, len(rows), self.batch):
                    batch = rows[at : at + self.batch]
                    yield TextBatch(
                        [start + row for row in batch],
                        [tokens[row] for row in batch],
                        length,
                        [notes[row] for row in batch],
                    )

    def tokenise(self, texts: Sequence[str]) -> tuple[list[list[int]], list[str]]:
        limit = CHARACTERS_A_TOKEN * self.max_tokens
        encoded = self.tokenizer([text[:limit] for text in texts], truncation=False, verbose=False)["input_ids"]
        cut = f"cut to {self.max_tokens} tokens"
        notes = [
            cut if len(ids) > self.max_tokens or len(text) > limit else ""
            for ids, text in zip(encoded, texts, strict=True)
        ]
        # The last token is the closing mark: keep it when the middle is cut.
        tokens = [ids if len(ids) <= self.max_tokens else [*ids[: self.max_tokens - 1], ids[-1]] for ids in encoded]
        return tokens, notes

    @torch.inference_mode()
    def forward(self, texts: TextBatch) -> np.ndarray:
        """Encodes up to `batch` texts in exactly the shape (batch, length): a short batch is filled up."""
        tokens = texts.tokens
        ids_BL = np.full((self.batch, texts.length), self.tokenizer.pad_token_id, dtype=np.int64)
        mask_BL = np.zeros((self.batch, texts.length), dtype=np.int64)
        mask_BL[len(tokens) :, 0] = 1  # rows that only fill up still need a token to look at
        for row, ids in enumerate(tokens):
            ids_BL[row, : len(ids)] = ids
            mask_BL[row, : len(ids)] = 1
        vectors = self.embed(
            self.where.to_device(torch.from_numpy(ids_BL)), self.where.to_device(torch.from_numpy(mask_BL))
        )
        return vectors[: len(tokens)].float().cpu().numpy()

    @torch.inference_mode()
    def embed(self, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        hidden_BLC = self.network(input_ids=ids_BL, attention_mask=mask_BL).last_hidden_state.float()
        weight_BL1 = mask_BL.unsqueeze(-1).float()
        vectors: Tensor = (hidden_BLC * weight_BL1).sum(1) / weight_BL1.sum(1)
        return torch.nn.functional.normalize(vectors, dim=-1) if self.preprocessing.normalise else vectors


def _by_length(lengths: list[int]) -> Iterator[tuple[int, list[int]]]:
    buckets: dict[int, list[int]] = defaultdict(list)
    for row, length in enumerate(lengths):
        buckets[next(bucket for bucket in LENGTHS if bucket >= length)].append(row)
    yield from sorted(buckets.items())


def _load(folder: Path, where: Runtime):  # type: ignore[no-untyped-def]  # transformers has no types to give
    from transformers import AutoTokenizer, BertModel

    quiet_loading()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, use_fast=True)
        network = BertModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, add_pooling_layer=False, dtype=where.dtype
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise StepError(f"{folder} is not a BERT with a tokenizer and safetensors: {error}") from error
    return tokenizer, torch.nn.Module.to(network, where.device).train(False)
