"""Prints what a program sees of its surroundings."""

import atexit
import os
import sys

print("argv", sys.argv)
print("path", sys.path[0])
print("name", __name__, __file__)
print("environment", dict(os.environ))
print("input", input("prompt: "))
print("rest", sys.stdin.read())
print("complaint", file=sys.stderr)


class Left:
    def __del__(self):
        print("deleted")


left = Left()
atexit.register(print, "at the end")
