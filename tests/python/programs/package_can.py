"""python-can over socketcan: frames from one bus to another, and a filter. The argument is the interface."""

import sys

import can

channel = sys.argv[1]
with can.Bus(interface="socketcan", channel=channel) as one, can.Bus(interface="socketcan", channel=channel, fd=True) as two:
    one.send(can.Message(arbitration_id=0x123, data=b"sandbox", is_extended_id=False))
    got = two.recv(timeout=5)
    assert got is not None and got.arbitration_id == 0x123 and bytes(got.data) == b"sandbox"
    two.set_filters([{"can_id": 0x200, "can_mask": 0x7FF}])
    one.send(can.Message(arbitration_id=0x100, data=b"no", is_extended_id=False))
    one.send(can.Message(arbitration_id=0x200, data=b"yes", is_extended_id=False))
    assert bytes(two.recv(timeout=5).data) == b"yes"
print("ok")
