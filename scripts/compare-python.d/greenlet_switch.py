"""greenlet: a switch to another one and back. Prints seconds for both; ends with 3 if greenlet is not installed. Arguments: how many."""
import sys
import time

try:
    import greenlet
except ImportError:
    sys.exit(3)


if __name__ == "__main__":
    count = int(sys.argv[1])
    main = greenlet.getcurrent()

    def other():
        turn = 0
        while True:
            turn += 1
            main.switch(turn)

    there = greenlet.greenlet(other)
    turn = there.switch()
    start = time.perf_counter()
    for _ in range(count):
        turn = there.switch()
    took = time.perf_counter() - start
    assert turn == count + 1
    print(took / count)
