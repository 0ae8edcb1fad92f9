"""Fails in a function of a function."""


def divide(value):
    return 1 / value


def run():
    divide(0)


run()
