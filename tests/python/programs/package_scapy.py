"""scapy with the platform linux: an echo request through a raw socket, whose answer comes as a frame, and a capture file."""

import logging
import sys

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)

from scapy.all import ICMP, IP, UDP, Ether, L3RawSocket, Raw, conf, rdpcap, sr1, wrpcap

packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(dst="192.0.2.7") / UDP(dport=53) / Raw(b"text")
again = Ether(bytes(packet))
assert again[UDP].dport == 53 and again[Raw].load == b"text"
wrpcap(sys.argv[1] + "/file.pcap", [packet] * 3)
assert [bytes(item) for item in rdpcap(sys.argv[1] + "/file.pcap")] == [bytes(packet)] * 3

conf.L3socket = L3RawSocket
answer = sr1(IP(dst="127.0.0.1") / ICMP(id=4321) / b"sandsock", timeout=20, verbose=False, threaded=False)
assert answer is not None and answer[ICMP].type == 0 and answer[Raw].load == b"sandsock", answer
print("ok")
