"""Two threads add to one number and subtract from it: one after the other without a lock, a lock around each loop, a lock in it. Seconds for one
update. And without a lock: in how many rounds, of which size, were updates lost. Arguments: COUNT ROUNDS."""
import json
import sys
import threading
import time

number = 0


def change(step, count):
    global number
    for _ in range(count):
        number += step


def change_coarse(step, count, lock):
    global number
    with lock:
        for _ in range(count):
            number += step


def change_fine(step, count, lock):
    global number
    for _ in range(count):
        with lock:
            number += step


def add(a, b):
    return a + b


def change_by_call(step, count):
    """The number is read, a function is called, the number is written: a thread can lose its turn in between."""
    global number
    for _ in range(count):
        number = add(number, step)


def both(work, *more):
    threads = [threading.Thread(target=work, args=(step, *more)) for step in (1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def one_after_the_other(count):
    change(1, count)
    change(-1, count)


if __name__ == "__main__":
    count, rounds = map(int, sys.argv[1:])
    ways = {
        "serial": lambda: one_after_the_other(count),
        "coarse": lambda: both(change_coarse, count, threading.Lock()),
        "fine": lambda: both(change_fine, count, threading.Lock()),
    }
    said = {way: {"unit": "seconds", "values": []} for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            number = 0
            start = time.perf_counter()
            run()
            said[way]["result"] = number
            said[way]["values"].append((time.perf_counter() - start) / count / 2)
    for way, work in ("updates_lost", change), ("updates_lost_by_call", change_by_call):
        said[way] = {"unit": "times", "values": []}
        for _ in range(20):
            number = 0
            both(work, count * 5)
            said[way]["values"].append(abs(number))
    print(json.dumps({"ways": said}))
