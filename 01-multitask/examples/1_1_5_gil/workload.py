"""The workload of 1_1_5_gil in Python: prints what the interpreter is, the result, and the median times in seconds.

Arguments: threads, loops, seconds of one wait. Run by the case.
"""

import sys
import sysconfig
import threading
import time

THREADS, LOOPS, WAIT = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])


def compute(results):
    x = 1
    for _ in range(LOOPS):
        x = (x * 69069 + 1) & 0xFFFFFFFF
    results.append(x)


def wait(results):
    time.sleep(WAIT)  # a system call: the lock is released meanwhile
    results.append(0)


def one_after_the_other(work, results):
    for _ in range(THREADS):
        work(results)


def by_threads(work, results):
    threads = [threading.Thread(target=work, args=(results,)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


times = {}
for turn in range(4):  # one to warm up
    for work in compute, wait:
        for way in one_after_the_other, by_threads:
            results = []
            start = time.perf_counter()
            way(work, results)
            took = time.perf_counter() - start
            assert len(results) == THREADS and len(set(results)) == 1
            if work is compute:
                result = results[0]
            if turn:
                times.setdefault((work, way), []).append(took)

version = "%d.%d.%d" % sys.version_info[:3]
if not sysconfig.get_config_var("Py_GIL_DISABLED"):
    lock = "GIL"
elif sys._is_gil_enabled():
    lock = "free-threaded, GIL on"
else:
    lock = "free-threaded"
medians = ["%.9f" % sorted(each)[1] for each in times.values()]
print(version, result, *medians, lock)
