"""`can_node.py INTERFACE COUNT`: answers COUNT frames of AF_CAN, each with its data reversed and the next identifier."""

import socket
import struct
import sys

# The kernel's struct can_frame: identifier, length, 3 bytes of padding, 8 bytes of data.
FRAME = struct.Struct("=IB3x8s")

interface, count = sys.argv[1], int(sys.argv[2])
with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as bus:
    bus.bind((interface,))
    print("bound to", bus.getsockname(), flush=True)
    for _ in range(count):
        frame, sender = bus.recvfrom(FRAME.size)
        identifier, length, data = FRAME.unpack(frame)
        print(f"{identifier:x} {data[:length].hex()} from {sender[0]}", flush=True)
        bus.send(FRAME.pack(identifier + 1, length, data[:length][::-1]))
