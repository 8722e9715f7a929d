import threading
import time

import pytest

from seganypet.inference.byte_cache import ByteCache


def test_the_least_recently_used_goes_first_and_the_bound_holds():
    cache = ByteCache(10, len)
    cache.get_or_make("a", lambda: "aaaa")
    cache.get_or_make("b", lambda: "bbbb")
    cache.get("a")
    cache.get_or_make("c", lambda: "cccc")
    assert "b" not in cache
    assert "a" in cache
    assert "c" in cache
    assert cache.bytes_held == 8


def test_what_is_larger_than_the_bound_is_handed_out_but_not_kept():
    cache = ByteCache(3, len)
    cache.get_or_make("small", lambda: "ab")
    assert cache.get_or_make("large", lambda: "abcd") == ("abcd", True)
    assert "large" not in cache
    assert "small" in cache


def test_a_negative_bound_is_refused():
    with pytest.raises(ValueError, match="-1"):
        ByteCache(-1, len)


def test_many_askers_make_it_once():
    cache, made = ByteCache(100, len), []

    def make():
        made.append(1)
        time.sleep(0.05)
        return "value"

    answers = []
    threads = [threading.Thread(target=lambda: answers.append(cache.get_or_make("key", make))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert sorted(answers) == [("value", False)] * 7 + [("value", True)]


def test_a_failure_is_the_makers_own():
    cache = ByteCache(100, len)
    begun, go_on = threading.Event(), threading.Event()

    def fail():
        begun.set()
        go_on.wait(5)
        raise RuntimeError("out of memory")

    errors, answers = [], []

    def first():
        try:
            cache.get_or_make("key", fail)
        except RuntimeError as error:
            errors.append(error)

    threads = [threading.Thread(target=first)]
    threads[0].start()
    begun.wait(5)
    threads.append(threading.Thread(target=lambda: answers.append(cache.get_or_make("key", lambda: "value"))))
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(5)
    assert len(errors) == 1
    assert answers == [("value", True)]


def test_background_never_waits_and_never_repeats():
    cache = ByteCache(100, len)
    assert cache.make_unless_known("key", lambda: "value")
    assert not cache.make_unless_known("key", lambda: pytest.fail("made twice"))


def test_clear_forgets_also_what_is_being_made():
    cache = ByteCache(100, len)

    def make():
        cache.clear()
        return "old"

    assert cache.get_or_make("key", make) == ("old", True)
    assert "key" not in cache
    assert cache.bytes_held == 0
