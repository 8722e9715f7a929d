import threading
import time

import pytest

from seganypet.inference.compute_gate import BACKGROUND, CLICK, ComputeGate


def test_clicks_go_before_background_work_in_the_order_they_came():
    gate, order = ComputeGate(), []

    def take(name, priority):
        with gate.turn(priority):
            order.append(name)

    threads = []
    with gate.turn():
        for name, priority in (("window", BACKGROUND), ("first", CLICK), ("second", CLICK)):
            threads.append(threading.Thread(target=take, args=(name, priority)))
            threads[-1].start()
            while len(gate._waiting) < len(threads):
                time.sleep(0.001)
    for thread in threads:
        thread.join(5)
    assert order == ["first", "second", "window"]


def test_an_error_inside_frees_the_gate():
    gate = ComputeGate()
    with pytest.raises(RuntimeError), gate.turn():
        raise RuntimeError
    with gate.turn():
        pass
