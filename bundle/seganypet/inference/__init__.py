"""Volume and clicks → mask: windows, embeddings encoded once, clicks at the cost of a decode."""

from seganypet.inference.background_encoding import EncodeAheadReport
from seganypet.inference.host_memory import keep_freed_memory
from seganypet.inference.segmenter import ClickSegmenter, SegmentationDetails
from seganypet.inference.window_encoder import weights_hash

__all__ = ["ClickSegmenter", "EncodeAheadReport", "SegmentationDetails", "keep_freed_memory", "weights_hash"]
