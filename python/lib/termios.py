"""The module `termios`: numbers of requests for `fcntl.ioctl` on sockets. A guest has no terminal to control."""

import errno

# Linux's numbers.
FIONREAD = TIOCINQ = 0x541B
TIOCOUTQ = 0x5411
FIONBIO = 0x5421
FIOASYNC = 0x5452
FIOCLEX = 0x5451
FIONCLEX = 0x5450
TIOCGWINSZ = 0x5413
TIOCSWINSZ = 0x5414
TCSANOW = 0
TCSADRAIN = 1
TCSAFLUSH = 2
ECHO = 0o10
ECHONL = 0o100
ICANON = 0o2
ISIG = 0o1
IEXTEN = 0o100000
ICRNL = 0o400
IXON = 0o2000
BRKINT = 0o2
INPCK = 0o20
ISTRIP = 0o40
OPOST = 0o1
CSIZE = 0o60
CS8 = 0o60
PARENB = 0o400
VMIN = 6
VTIME = 5
NCCS = 32


class error(Exception):
    """The module's exception."""


error.__module__ = __name__


def _refuse(*arguments):
    raise error(errno.ENOTTY, "Inappropriate ioctl for device")


tcgetattr = tcsetattr = tcsendbreak = tcdrain = tcflush = tcflow = tcgetwinsize = tcsetwinsize = _refuse
