"""Studies evaluated side by side: one process a core, each with a segmenter of its own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import torch

from seganypet.data.data_list import Entry
from seganypet.evaluation.report import TargetResult, evaluate_study
from seganypet.inference import ClickSegmenter
from seganypet.networks import load_network


@dataclass(frozen=True)
class StudyEvaluator:
    """The click protocol with given weights, for any number of processes.

    Args:
        weights: model.pt or a released .pth.
        device: where the network runs.
        rules: whether answers are made to obey their clicks.
        clicks, baselines, leave_out, max_organs, reader, together: as in `evaluate_study`.
    """

    weights: str
    device: str | None = None
    rules: bool = True
    clicks: int = 5
    baselines: bool = True
    leave_out: Collection[str] = ()
    max_organs: int | None = None
    reader: str = "click"
    together: bool = False

    def segmenter(self) -> ClickSegmenter:
        """A segmenter of these weights.

        Raises:
            FileNotFoundError, ValueError: as `load_network`.
        """
        return ClickSegmenter(load_network(self.weights), device=self.device, rules=self.rules)

    def all(self, entries: Sequence[Entry], workers: int | None = None) -> Iterator[list[TargetResult] | str]:
        """Each study's results, or why it has none, in the order of the entries: one study does not end the others.

        Args:
            entries: of a data list.
            workers: processes; by default one a core, and 1 on another device than the CPU.
        """
        if workers is None:
            workers = len(os.sched_getaffinity(0)) if (self.device or "cpu") == "cpu" else 1
        workers = min(workers, len(entries))
        if workers <= 1:
            segmenter = self.segmenter()
            for entry in entries:
                yield self._study(segmenter, entry)
            return
        # spawned, not forked: the parent holds torch's threads
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(self,)) as pool:
            yield from pool.map(_study_here, entries)

    def _study(self, segmenter: ClickSegmenter, entry: Entry) -> list[TargetResult] | str:
        try:
            return evaluate_study(
                segmenter,
                entry,
                clicks=self.clicks,
                baselines=self.baselines,
                leave_out=self.leave_out,
                max_organs=self.max_organs,
                reader=self.reader,
                together=self.together,
            )
        except (ValueError, OSError) as error:
            return str(error)
        finally:
            segmenter.clear()


_here: tuple[StudyEvaluator, ClickSegmenter] | None = None  # of this process


def _start(evaluator: StudyEvaluator) -> None:
    global _here
    torch.set_num_threads(1)
    _here = (evaluator, evaluator.segmenter())


def _study_here(entry: Entry) -> list[TargetResult] | str:
    assert _here is not None
    evaluator, segmenter = _here
    return evaluator._study(segmenter, entry)
