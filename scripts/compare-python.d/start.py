"""Starting one and waiting for its end: a process (by fork, Linux's default here), a thread, a coroutine. Seconds for one. Arguments: ROUNDS."""
import asyncio
import json
import multiprocessing
import sys
import threading
import time

try:
    import greenlet
except ImportError:
    greenlet = None

ROUNDS = int(sys.argv[1])
ANSWER = 42


def process(count):
    context = multiprocessing.get_context("fork")
    for _ in range(count):
        child = context.Process(target=sys.exit, args=(ANSWER,))
        child.start()
        child.join()
        assert child.exitcode == ANSWER
    return ANSWER


def thread(count):
    answers = []
    for _ in range(count):
        one = threading.Thread(target=answers.append, args=(ANSWER,))
        one.start()
        one.join()
    return sum(answers) // count


def tasks(count):
    async def answer():
        return ANSWER

    async def all_of_them():
        return sum([await asyncio.create_task(answer()) for _ in range(count)]) // count

    return asyncio.run(all_of_them())


def greenlets(count):
    return sum(greenlet.greenlet(lambda: ANSWER).switch() for _ in range(count)) // count


if __name__ == "__main__":
    ways = {"process": (process, 20), "thread": (thread, 500), "asyncio": (tasks, 5000)}
    if greenlet:
        ways["greenlet"] = (greenlets, 5000)
    said = {way: {"unit": "seconds", "values": []} for way in ways}
    for _ in range(ROUNDS):
        for way, (run, count) in ways.items():
            start = time.perf_counter()
            said[way]["result"] = run(count)
            said[way]["values"].append((time.perf_counter() - start) / count)
    missing = {} if greenlet else {"greenlet": "greenlet is not installed"}
    print(json.dumps({"ways": said, "missing": missing}))
